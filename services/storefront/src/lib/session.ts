/** The cookie by which the edge tells users apart for its limit of payment calls. It says nothing of who they are. */
export const SESSION_COOKIE = "till_session";
export const SESSION = new RegExp(`(?:^|;\\s*)${SESSION_COOKIE}=[^;\\s]+`);

export function session(id: string): string {
  return `${SESSION_COOKIE}=${id}; Path=/; HttpOnly; Secure; SameSite=Lax`;
}
