import { NextResponse, type NextRequest } from "next/server";

/** Per page: a nonce for the inline scripts of Next.js, and a session that the edge limits payment calls by. */
export function proxy(request: NextRequest): NextResponse {
  const nonce = Buffer.from(crypto.randomUUID()).toString("base64");
  const policy = [
    "default-src 'self'",
    `script-src 'self' 'nonce-${nonce}' 'strict-dynamic'`,
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "connect-src 'self' https://www.google-analytics.com",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join("; ");
  const headers = new Headers(request.headers);
  headers.set("x-nonce", nonce);
  headers.set("content-security-policy", policy);
  const answer = NextResponse.next({ request: { headers } });
  answer.headers.set("Content-Security-Policy", policy);
  if (!request.cookies.has("till_session"))
    answer.cookies.set("till_session", crypto.randomUUID(), { httpOnly: true, secure: true, sameSite: "lax", path: "/" });
  return answer;
}

export const config = { matcher: ["/((?!api/|_next/|favicon.ico).*)"] };
