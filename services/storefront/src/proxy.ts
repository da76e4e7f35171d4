import { NextResponse, type NextRequest } from "next/server";
import { config as settings } from "./lib/config";
import { contentPolicy } from "./lib/policy";
import { SESSION_COOKIE } from "./lib/session";

/** Per page: a nonce for the inline scripts of Next.js, and a session that the edge limits payment calls by. */
export function proxy(request: NextRequest): NextResponse {
  const nonce = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64");
  const policy = contentPolicy(nonce, settings.analyticsId !== "");
  const headers = new Headers(request.headers);
  headers.set("x-nonce", nonce);
  // Next.js takes the nonce for its own scripts from here.
  headers.set("content-security-policy", policy);
  const answer = NextResponse.next({ request: { headers } });
  answer.headers.set("Content-Security-Policy", policy);
  if (!request.cookies.get(SESSION_COOKIE)?.value)
    answer.cookies.set(SESSION_COOKIE, crypto.randomUUID(), { httpOnly: true, secure: true, sameSite: "lax", path: "/" });
  return answer;
}

export const config = { matcher: ["/((?!api/|_next/|icon.svg|favicon.ico).*)"] };
