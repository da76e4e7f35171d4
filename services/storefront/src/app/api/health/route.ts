import { health } from "@/lib/health";

export const dynamic = "force-dynamic";

export async function GET(): Promise<Response> {
  const { http, health: told } = await health();
  return Response.json(told, { status: http, headers: { "Cache-Control": "no-store" } });
}
