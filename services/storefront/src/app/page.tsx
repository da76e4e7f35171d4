import { headers } from "next/headers";
import { redirect } from "next/navigation";

export default async function Home() {
  const wanted = (await headers()).get("accept-language") ?? "";
  redirect(/^\s*ar\b/i.test(wanted) ? "/ar" : "/en");
}
