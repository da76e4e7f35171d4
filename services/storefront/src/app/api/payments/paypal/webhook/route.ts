import { bad } from "@/lib/errors";
import { json, step, text } from "@/lib/http";
import { log } from "@/lib/log";
import { signed } from "@/lib/paypal";
import { notified, type Event } from "@/lib/webhook";

export const dynamic = "force-dynamic";

export function POST(request: Request): Promise<Response> {
  return step("webhook", request, async (notes) => {
    const raw = await text(request);
    const event = json(raw);
    if (typeof event !== "object" || event === null || Array.isArray(event)) throw bad("INVALID_BODY", "the body must be a webhook event");
    if (!(await signed(request.headers, raw))) throw bad("INVALID_SIGNATURE", "PayPal did not sign this");
    const done = await notified(event as Event, notes);
    log("info", "webhook", { ...notes, done });
    return Response.json({ done });
  });
}
