import { config } from "@/lib/config";

export const dynamic = "force-dynamic";

export function GET(): Response {
  return Response.json({ version: config.release }, { headers: { "Cache-Control": "no-store" } });
}
