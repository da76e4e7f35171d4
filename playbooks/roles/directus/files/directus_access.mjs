// One policy, one role and one user for the storefront, with exactly the permissions of access.yml.

const find = async (call, collection, filter) =>
  (await call('GET', `/${collection}?limit=-1&fields=*&filter=${encodeURIComponent(JSON.stringify(filter))}`)) ?? [];

const whole = (permission) =>
  JSON.stringify(permission.fields) === '["*"]' &&
  [permission.permissions, permission.validation, permission.presets].every((rule) => !rule || !Object.keys(rule).length);

/** What to create and what to delete so that `existing` is exactly collections x actions. */
export function permissionPlan(existing, { collections, actions }) {
  const wanted = collections.flatMap((collection) => actions.map((action) => ({ collection, action })));
  const same = (a, b) => a.collection === b.collection && a.action === b.action;
  const good = existing.filter((found) => whole(found) && wanted.some((want) => same(want, found)));
  return {
    create: wanted.filter((want) => !good.some((found) => same(want, found))),
    remove: existing.filter((found) => !good.includes(found)),
  };
}

/** Bring policy, role, permissions, user and token in line unless `check`; returns what differs as texts. */
export async function accessChanges(call, asStorefront, access, token, check) {
  const { name } = access;
  const changes = [];
  const settings = { name, icon: 'storefront', admin_access: false, app_access: false };
  const change = async (text, method, path, body) => {
    changes.push(text);
    return check ? { id: null } : call(method, path, body);
  };

  let [policy] = await find(call, 'policies', { name: { _eq: name } });
  if (!policy) policy = await change(`policy ${name}`, 'POST', '/policies', settings);
  else if (policy.admin_access || policy.app_access) await change(`policy ${name}`, 'PATCH', `/policies/${policy.id}`, settings);

  const existing = policy.id ? await find(call, 'permissions', { policy: { _eq: policy.id } }) : [];
  const plan = permissionPlan(existing, access);
  for (const { id, action, collection } of plan.remove) await change(`no ${action} on ${collection}`, 'DELETE', `/permissions/${id}`);
  for (const { action, collection } of plan.create)
    await change(`${action} on ${collection}`, 'POST', '/permissions', { policy: policy.id, action, collection, fields: ['*'] });

  let [role] = await find(call, 'roles', { name: { _eq: name } });
  if (!role) role = await change(`role ${name}`, 'POST', '/roles', { name, icon: 'storefront', policies: [{ policy: policy.id }] });
  const [user] = role.id ? await find(call, 'users', { role: { _eq: role.id } }) : [];
  if (!user) {
    await change(`user ${name}`, 'POST', '/users', { first_name: name, role: role.id, status: 'active', token });
    return changes;
  }
  // Directus never shows a token: whoever the token logs in as is the proof.
  const holder = await asStorefront('GET', '/users/me?fields=id').catch((error) => {
    if (error.status === 401) return null;
    throw error;
  });
  if (holder?.id !== user.id || user.status !== 'active')
    await change(`token of ${name}`, 'PATCH', `/users/${user.id}`, { status: 'active', token });
  return changes;
}
