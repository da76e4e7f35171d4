import { body, step } from "@/lib/http";
import { capture } from "@/lib/payments";
import { orderId } from "@/lib/validate";

export const dynamic = "force-dynamic";

export function POST(request: Request): Promise<Response> {
  return step("capture", request, async () => Response.json(await capture(orderId(await body(request)))));
}
