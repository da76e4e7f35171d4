/** The project's PayPal simulator, as a process of its own that this process trusts. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";

const CHECKOUT = resolve(import.meta.dirname, "../../..");
const PYTHON = process.env.TILL_PYTHON ?? join(CHECKOUT, ".venv/bin/python");
const SOURCE = process.env.TILL_SIMULATOR ?? join(CHECKOUT, "services/paypal_simulator");
const START_DEADLINE_MS = 20_000;

export const CLIENT = { id: "id", secret: "secret", webhook: "WH-LAB" };

export class Simulator {
  readonly state = mkdtempSync(join(tmpdir(), "till-simulator-"));
  url = "";
  private process?: ChildProcess;

  async start(): Promise<string> {
    if (!existsSync(PYTHON)) throw new Error(`the simulator needs ${PYTHON}: run \`make tools\` in the checkout, or set TILL_PYTHON`);
    const [cert, key, secret] = ["cert.pem", "key.pem", "secret"].map((name) => join(this.state, name)) as [string, string, string];
    const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"];
    execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", ...subject, "-keyout", key, "-out", cert], { stdio: "ignore" });
    setDefaultCACertificates([...getCACertificates("default"), readFileSync(cert, "utf8")]);
    writeFileSync(secret, CLIENT.secret, { mode: 0o600 });
    const listen = `127.0.0.1:${await freePort()}`;
    this.url = `https://${listen}`;
    const client = ["--client-id", CLIENT.id, "--client-secret-file", secret, "--webhook-id", CLIENT.webhook];
    const command = ["-m", "paypal_simulator", "--listen", listen, "--cert", cert, "--key", key, ...client, "--state", this.state, "--public-url", this.url];
    this.process = spawn(PYTHON, command, { cwd: SOURCE, stdio: ["ignore", "ignore", "inherit"] });
    const deadline = Date.now() + START_DEADLINE_MS;
    while (!(await fetch(`${this.url}/v1/health`).catch(() => undefined))?.ok) {
      if (Date.now() > deadline || this.process.exitCode !== null) throw new Error("the simulator did not start");
      await new Promise((done) => setTimeout(done, 100));
    }
    return this.url;
  }

  async stop(): Promise<void> {
    const { process } = this;
    if (process && process.exitCode === null && process.signalCode === null) {
      const ended = new Promise((done) => process.once("exit", done));
      process.kill("SIGTERM");
      await ended;
    }
    rmSync(this.state, { recursive: true, force: true });
  }

  private post(path: string, body: unknown): Promise<Response> {
    return fetch(`${this.url}${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  }

  async approve(orderId: string): Promise<void> {
    const answer = await this.post("/_simulator/approve", { order_id: orderId });
    if (!answer.ok) throw new Error(`approve: ${answer.status}`);
  }

  async fault(fault: { path: string; kind: string; count?: number; delay_s?: number }): Promise<void> {
    const answer = await this.post("/_simulator/faults", fault);
    if (!answer.ok) throw new Error(`fault: ${answer.status}`);
  }

  async noFaults(): Promise<void> {
    await fetch(`${this.url}/_simulator/faults`, { method: "DELETE" });
  }

  async captures(): Promise<{ id: string }[]> {
    const ledger = (await (await fetch(`${this.url}/_simulator/ledger`)).json()) as { captures: { id: string }[] };
    return ledger.captures;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}
