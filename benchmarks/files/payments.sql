-- Rows as a payment service keeps them, with what a payment provider answers as JSON.
-- Pages have room for a new version of a row: what a change of status needs to stay in its page.
CREATE TABLE payments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_number uuid NOT NULL,
    status text NOT NULL,
    amount numeric(12, 2) NOT NULL,
    currency char(3) NOT NULL,
    paypal_order_id text NOT NULL,
    payer_email text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    capture jsonb NOT NULL,
    signature text NOT NULL
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX ON payments (paypal_order_id);

-- Adds rows until the table has its size; several sessions may call it at once.
CREATE PROCEDURE load_payments(size_bytes bigint) LANGUAGE plpgsql AS $body$
BEGIN
    WHILE pg_relation_size('payments') < size_bytes LOOP
        INSERT INTO payments (order_number, status, amount, currency, paypal_order_id, payer_email,
                              created_at, updated_at, capture, signature)
        SELECT gen_random_uuid(), 'COMPLETED', amount, currency, order_id, email, moment, moment + interval '9 s',
               jsonb_build_object(
                   'id', order_id, 'intent', 'CAPTURE', 'status', 'COMPLETED', 'create_time', moment,
                   'payer', jsonb_build_object(
                       'payer_id', upper(substr(md5(secret || 'p'), 1, 13)), 'email_address', email,
                       'name', jsonb_build_object('given_name', given_name, 'surname', surname)),
                   'purchase_units', jsonb_build_array(jsonb_build_object(
                       'reference_id', 'default', 'final_capture', true, 'seller_protection', 'ELIGIBLE',
                       'amount', jsonb_build_object('value', amount, 'currency_code', currency),
                       'capture', upper(substr(md5(secret || 'c'), 1, 17)),
                       'fee', round(amount * 0.029 + 0.3, 2)))),
               -- As a provider signs its messages: what does not compress is a part of such rows.
               encode(decode(md5(secret || '1') || md5(secret || '2') || md5(secret || '3') || md5(secret || '4')
                             || md5(secret || '5') || md5(secret || '6'), 'hex'), 'base64')
          FROM (SELECT round((random() * random() * 900 + 5)::numeric, 2) AS amount,
                       (array['USD', 'EUR', 'SAR', 'AED', 'EGP'])[1 + floor(random() * 5)::int] AS currency,
                       (array['Amal', 'Omar', 'Lina', 'Yusuf', 'Mona', 'Karim', 'Sara', 'Adam']
                           )[1 + floor(random() * 8)::int] AS given_name,
                       (array['Haddad', 'Mansour', 'Nasser', 'Saleh', 'Farouk', 'Aziz']
                           )[1 + floor(random() * 6)::int] AS surname,
                       'customer' || floor(random() * 400000)::int || '@example.com' AS email,
                       upper(substr(md5(secret), 1, 17)) AS order_id,
                       secret,
                       timestamptz '2024-01-01' + row_number * interval '7 s' AS moment
                  FROM (SELECT row_number, random()::text || row_number AS secret
                          FROM generate_series(1, 20000) AS row_number) AS seeds) AS payment;
        COMMIT;
    END LOOP;
END
$body$;

-- Gives one row a new version in some pages: `ratio` of the whole database's pages, random or the table's newest.
CREATE PROCEDURE change_pages(place text, ratio float8) LANGUAGE plpgsql AS $body$
DECLARE
    table_pages bigint := pg_relation_size('payments') / 8192;
    wanted float8 := ratio * (SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relkind IN ('r', 'i', 't')) / 8192;
BEGIN
    UPDATE payments SET status = 'REFUNDED', updated_at = now()
     WHERE ctid = ANY (ARRAY(
         SELECT format('(%s,1)', page)::tid FROM generate_series(0, table_pages - 1) AS page
          WHERE CASE place WHEN 'random' THEN random() < wanted / table_pages ELSE page >= table_pages - wanted END));
END
$body$;
