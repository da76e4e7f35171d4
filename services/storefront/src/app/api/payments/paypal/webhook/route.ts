import { PaymentError } from "@/lib/errors";
import { step } from "@/lib/http";
import { log } from "@/lib/log";
import { notified } from "@/lib/payments";
import { signed } from "@/lib/paypal";

export const dynamic = "force-dynamic";

export function POST(request: Request): Promise<Response> {
  return step("webhook", request, async () => {
    const raw = await request.text();
    let event: Parameters<typeof notified>[0];
    try {
      event = JSON.parse(raw);
    } catch {
      throw new PaymentError(400, "INVALID_JSON", "the body is not JSON");
    }
    if (!(await signed(request.headers, raw))) throw new PaymentError(400, "INVALID_SIGNATURE", "PayPal did not sign this");
    const done = await notified(event);
    log("info", "webhook", { event_type: event.event_type, done });
    return Response.json({ done });
  });
}
