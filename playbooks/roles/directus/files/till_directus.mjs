// Brings a Directus database to its release and its content to the files beside this one; says what it changed as one JSON object.
//   database            is the schema of Directus there? {"state": "absent" | "unfinished" | "behind" | "ready"}
//   clear               drop the tables of a bootstrap that was cut off; refuses once anything has been stored
//   content [--check]   collections from schema.yml, the storefront's access from access.yml and its token
//   snapshot            the schema as Directus itself tells it
//   ready               wait until this host's Directus answers
import { createRequire } from 'node:module';
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { schemaChanges } from './directus_schema.mjs';
import { accessChanges } from './directus_access.mjs';

// As a unit's step the environment is there; on Ansible's command line it is read from the unit's file.
const environment = process.env.TILL_DIRECTUS_RELEASE
  ? process.env
  : Object.fromEntries(
      readFileSync('/etc/till/env/directus.env', 'utf8')
        .split('\n')
        .filter((line) => /^[A-Z]/.test(line))
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
const release = environment.TILL_DIRECTUS_RELEASE;
const require = createRequire(`${release}/package.json`);
const credential = (name) => readFileSync(`/etc/till/credentials/directus_${name}`, 'utf8');
const base = `http://${environment.HOST}:${environment.PORT}`;
const yaml = (name) => require('js-yaml').load(readFileSync(new URL(name, import.meta.url), 'utf8'));

async function withDatabase(work) {
  const { Client } = require('pg');
  const client = new Client({
    host: environment.DB_HOST,
    port: Number(environment.DB_PORT),
    database: environment.DB_DATABASE,
    user: environment.DB_USER,
    password: credential('database_password'),
    ssl: { ca: readFileSync(environment.TILL_CA_FILE, 'utf8') },
    connectionTimeoutMillis: 5000,
  });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** The database's state; `unfinished` only while nothing but empty tables of Directus could be lost. */
async function databaseState(client) {
  const { rows: tables } = await client.query("select tablename from pg_tables where schemaname = 'public'");
  const names = new Set(tables.map((row) => row.tablename));
  const count = async (table) =>
    names.has(table) ? Number((await client.query(`select count(*) from ${table}`)).rows[0].count) : 0;
  if (![...names].some((name) => name.startsWith('directus_'))) return 'absent';
  const used = (await count('directus_users')) + (await count('directus_collections'));
  if (used === 0 && [...names].every((name) => name.startsWith('directus_'))) return 'unfinished';
  const { rows } = await client.query('select version from directus_migrations');
  const done = new Set(rows.map((row) => row.version));
  const known = readdirSync(`${release}/node_modules/@directus/api/dist/database/migrations`)
    .filter((file) => /^[0-9]+[A-Z]-[^.]+\.js$/.test(file))
    .map((file) => file.split('-')[0]);
  return known.every((version) => done.has(version)) ? 'ready' : 'behind';
}

async function clear(client) {
  await client.query('begin');
  if ((await databaseState(client)) !== 'unfinished') throw new Error('the database holds data: nothing was dropped');
  const { rows } = await client.query("select tablename from pg_tables where schemaname = 'public'");
  await client.query(`drop table ${rows.map((row) => `"${row.tablename}"`).join(', ')} cascade`);
  await client.query('commit');
}

// A token of our own making, valid for a minute: it works also after the administrator changed the password or took a second factor.
async function administratorToken() {
  const { rows } = await withDatabase((client) =>
    client.query(`select u.id, u.role from directus_users u join directus_access a on a.role = u.role or a."user" = u.id
      join directus_policies p on p.id = a.policy where p.admin_access and u.status = 'active' limit 1`),
  );
  if (!rows.length) throw new Error('Directus has no active administrator: create one with `directus users create`');
  const claims = { id: rows[0].id, role: rows[0].role, app_access: true, admin_access: true };
  return require('jsonwebtoken').sign(claims, credential('secret'), { issuer: 'directus', expiresIn: 60 });
}

function api(token) {
  return async (method, path, body) => {
    const response = await fetch(base + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    // The answer's values may repeat what was sent: only its codes are shown.
    if (!response.ok) {
      const errors = text.startsWith('{') ? (JSON.parse(text).errors ?? []) : [];
      const reasons = errors.map(({ extensions: { code, collection, field, reason } }) => [code, collection, field, reason]);
      throw Object.assign(new Error(`${method} ${path}: ${response.status} ${JSON.stringify(reasons)}`), { status: response.status });
    }
    return text ? JSON.parse(text).data : null;
  };
}

async function content(check) {
  const call = api(await administratorToken());
  const schema = await schemaChanges(call, yaml('schema.yml'), check);
  const asStorefront = api(credential('api_token'));
  const access = await accessChanges(call, asStorefront, yaml('access.yml'), credential('api_token'), check);
  return { changes: [...schema.changes, ...access], kept: schema.kept };
}

async function ready() {
  for (;;) {
    try {
      if ((await fetch(`${base}/server/ping`, { signal: AbortSignal.timeout(1000) })).ok) return { ready: true };
    } catch {
      // Not listening yet; systemd's TimeoutStartSec is the deadline.
    }
    await sleep(100);
  }
}

const verbs = {
  database: async () => ({ state: await withDatabase(databaseState) }),
  clear: async () => ({ changes: [(await withDatabase(clear), 'dropped the tables of an unfinished bootstrap')] }),
  content: () => content(process.argv.includes('--check')),
  snapshot: async () => api(await administratorToken())('GET', '/schema/snapshot'),
  ready,
};
try {
  console.log(JSON.stringify(await verbs[process.argv[2]]()));
} catch (error) {
  const cause = error.cause ? ` (${error.cause.message})` : '';
  const next = 'Next: journalctl -u directus -u haproxy';
  console.error(`till_directus ${process.argv[2]}: ${error.message}${cause}. ${next}`);
  process.exit(1);
}
