import { body, step } from "@/lib/http";
import { create, idempotencyKey } from "@/lib/payments";
import { cart } from "@/lib/validate";

export const dynamic = "force-dynamic";

export function POST(request: Request): Promise<Response> {
  return step("create", request, async () => {
    const checked = cart(await body(request));
    return Response.json(await create(checked, idempotencyKey(request.headers.get("idempotency-key"))), { status: 201 });
  });
}
