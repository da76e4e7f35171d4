import { body, step } from "@/lib/http";
import { create } from "@/lib/payments";
import { cart, idempotencyKey } from "@/lib/validate";

export const dynamic = "force-dynamic";

export function POST(request: Request): Promise<Response> {
  return step("create", request, async (notes) => {
    const checked = cart(await body(request));
    const key = idempotencyKey(request.headers.get("idempotency-key"));
    return Response.json(await create(checked, key, notes), { status: 201 });
  });
}
