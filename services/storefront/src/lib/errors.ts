/** A failure with the HTTP status, code and sentence that the client gets. */
export class PaymentError extends Error {
  readonly status: number;
  readonly code: string;
  readonly extra: Record<string, unknown>;

  constructor(status: number, code: string, message: string, extra: Record<string, unknown> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.extra = extra;
  }
}

export const bad = (code: string, message: string) => new PaymentError(400, code, message);
