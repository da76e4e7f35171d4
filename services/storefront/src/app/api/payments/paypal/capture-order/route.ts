import { capture } from "@/lib/capture";
import { body, step } from "@/lib/http";
import { orderId } from "@/lib/validate";

export const dynamic = "force-dynamic";

export function POST(request: Request): Promise<Response> {
  return step("capture", request, async (notes) => Response.json(await capture(orderId(await body(request)), notes)));
}
