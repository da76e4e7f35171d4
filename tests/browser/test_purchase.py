"""The shop as a buyer sees it, in both languages: browse, fill the cart, pay, change one's mind."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from infra.contract import Contract
from tests.browser.conftest import RESULTS
from till.checks import purchase
from till.observe import probe
from till.public_dns import lookup

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(180)]

SKU = "dates-1kg"
# Three at 4.115 OMR: a total that float arithmetic or two decimals would show wrong.
QUANTITY, TOTAL = 3, "12.345"
DIRECTION = {"en": "ltr", "ar": "rtl"}
LANGUAGES = tuple(DIRECTION)
# A user may make one payment call a second.
PAYMENT_INTERVAL_MS = 1100
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def open_shop(page: Page, shop: Contract, locale: str) -> None:
    answer = page.goto(f"https://{shop.names.shop}/{locale}")
    assert answer is not None
    assert answer.status == 200
    html = page.locator("html")
    expect(html).to_have_attribute("dir", DIRECTION[locale])
    expect(html).to_have_attribute("lang", locale)


def shows(page: Page, amount: str) -> None:
    """The total on the page has this amount, whatever digits the language writes."""
    total = page.get_by_test_id("order-total")
    expect(total).to_be_visible()
    western = str.maketrans("٠١٢٣٤٥٦٧٨٩٫", "0123456789.")
    assert re.findall(r"\d+\.\d+", total.inner_text().translate(western)) == [amount]


def fill_cart(page: Page) -> None:
    for _ in range(QUANTITY):
        page.get_by_test_id(f"add-to-cart-{SKU}").click()
    page.get_by_test_id("go-to-cart").click()
    shows(page, TOTAL)


def pay(page: Page, shop: Contract) -> str:
    """From the checkout to PayPal's page; returns PayPal's order id."""
    assert shop.outside is not None
    page.get_by_test_id("customer-name").fill("ليلى O'Neill-Ødegård")
    page.get_by_test_id("customer-email").fill("layla@shop.example")
    page.get_by_test_id("pay-with-paypal").click()
    page.wait_for_url(re.compile(rf"^https://{re.escape(shop.outside.paypal_name)}[:/]"))
    (order,) = parse_qs(urlsplit(page.url).query)["token"]
    return order


def check_out(page: Page, shop: Contract, locale: str) -> str:
    """From an empty cart to PayPal's page; returns PayPal's order id."""
    open_shop(page, shop, locale)
    fill_cart(page)
    page.get_by_test_id("go-to-checkout").click()
    return pay(page, shop)


def orders(shop: Contract, paypal_order: str) -> list[dict[str, object]]:
    """The orders of a payment as Directus has them."""
    with probe.Site(shop.names.admin, lookup.resolve(shop, shop.names.admin)[0], probe.public_trust(shop)) as admin:
        token = shop.secrets["directus_api_token"].get_secret_value()
        wanted = f"/items/orders?filter[paypal_order_id][_eq]={paypal_order}"
        answer = admin.ask("GET", wanted, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def decline_next(shop: Contract, paypal_order: str) -> None:
    """The buyer's bank will say no, once, to this payment alone."""
    assert shop.outside is not None
    place = f"{shop.outside.host.address}:{purchase.SIMULATOR_PORT}"
    with probe.Site(shop.outside.paypal_name, place, probe.internal_trust(shop)) as paypal:
        fault = {"path": f"{paypal_order}/capture", "kind": "decline"}
        assert paypal.ask("POST", "/_simulator/faults", json=fault).status_code == 201


def in_language(text: str, locale: str) -> bool:
    return bool(re.search("[\u0600-\u06ff]", text)) is (locale == "ar")


@pytest.mark.parametrize("locale", LANGUAGES)
def test_cart_and_checkout_show_three_decimals(page: Page, shop: Contract, locale: str) -> None:
    open_shop(page, shop, locale)
    fill_cart(page)
    page.screenshot(path=RESULTS / f"cart-{locale}.png")
    page.get_by_test_id("go-to-checkout").click()
    expect(page.get_by_test_id("pay-with-paypal")).to_be_enabled()
    shows(page, TOTAL)


def test_language_switch_keeps_place_and_cart(page: Page, shop: Contract) -> None:
    open_shop(page, shop, "en")
    fill_cart(page)
    page.get_by_test_id("language-switch").click()
    page.wait_for_url(f"https://{shop.names.shop}/ar/cart")
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    shows(page, TOTAL)


@pytest.mark.parametrize("locale", LANGUAGES)
def test_error_page_speaks_the_language(page: Page, shop: Contract, locale: str) -> None:
    page.goto(f"https://{shop.names.shop}/{locale}/error?code=INSTRUMENT_DECLINED")
    told = page.get_by_test_id("error-message")
    expect(told).to_be_visible()
    assert in_language(told.inner_text(), locale)


@pytest.mark.parametrize("locale", LANGUAGES)
def test_purchase(page: Page, shop: Contract, locale: str) -> None:
    paypal_order = check_out(page, shop, locale)
    expect(page.get_by_test_id("amount")).to_contain_text(shop.settlement.currency)
    page.screenshot(path=RESULTS / f"paypal-{locale}.png")
    assert orders(shop, paypal_order) == []
    page.get_by_test_id("approve").click()
    number = page.get_by_test_id("order-number")
    expect(number).to_have_text(UUID)
    expect(page.locator("html")).to_have_attribute("dir", DIRECTION[locale])
    page.screenshot(path=RESULTS / f"success-{locale}.png")
    (order,) = orders(shop, paypal_order)
    assert order["id"] == number.inner_text()
    assert (order["payment_status"], order["total_omr"], order["locale"]) == ("completed", TOTAL, locale)
    # Looked at again, the page tells of the same order and pays nothing more.
    page.reload()
    expect(number).to_have_text(str(order["id"]))
    assert len(orders(shop, paypal_order)) == 1
    page.get_by_test_id("go-to-cart").click()
    expect(page.get_by_test_id(f"line-{SKU}")).to_have_count(0)


@pytest.mark.parametrize("locale", LANGUAGES)
def test_cancel_keeps_the_cart_and_orders_nothing(page: Page, shop: Contract, locale: str) -> None:
    paypal_order = check_out(page, shop, locale)
    page.get_by_test_id("cancel").click()
    cancelled = page.get_by_test_id("cancelled")
    expect(cancelled).to_be_visible()
    assert in_language(cancelled.inner_text(), locale)
    page.screenshot(path=RESULTS / f"cancelled-{locale}.png")
    page.get_by_test_id("go-to-cart").click()
    shows(page, TOTAL)
    assert orders(shop, paypal_order) == []


def test_back_from_paypal_keeps_the_cart(page: Page, shop: Contract) -> None:
    paypal_order = check_out(page, shop, "en")
    page.go_back()
    page.get_by_test_id("go-to-cart").click()
    shows(page, TOTAL)
    assert orders(shop, paypal_order) == []


@pytest.mark.parametrize("locale", LANGUAGES)
def test_a_declined_payment_is_told_and_can_be_tried_again(page: Page, shop: Contract, locale: str) -> None:
    declined = check_out(page, shop, locale)
    decline_next(shop, declined)
    page.get_by_test_id("approve").click()
    page.wait_for_url(f"https://{shop.names.shop}/{locale}/error?code=INSTRUMENT_DECLINED")
    told = page.get_by_test_id("error-message")
    expect(told).to_be_visible()
    assert in_language(told.inner_text(), locale)
    expect(page.locator("html")).to_have_attribute("dir", DIRECTION[locale])
    page.screenshot(path=RESULTS / f"declined-{locale}.png")
    assert orders(shop, declined) == []
    page.wait_for_timeout(PAYMENT_INTERVAL_MS)
    page.goto(f"https://{shop.names.shop}/{locale}/checkout")
    shows(page, TOTAL)
    again = pay(page, shop)
    assert again != declined
    page.get_by_test_id("approve").click()
    expect(page.get_by_test_id("order-number")).to_have_text(UUID)
    assert len(orders(shop, again)) == 1
