/** Google Analytics; rendered only when the environment names an id. */
export function Analytics({ id, nonce }: { id: string; nonce: string }) {
  const begin = `window.dataLayer=window.dataLayer||[];function gtag(){dataLayer.push(arguments)}gtag("js",new Date());gtag("config",${JSON.stringify(id).replace(/</g, "\\u003c")});`;
  return (
    <>
      <script nonce={nonce} async src={`https://www.googletagmanager.com/gtag/js?id=${encodeURIComponent(id)}`} />
      <script nonce={nonce} dangerouslySetInnerHTML={{ __html: begin }} />
    </>
  );
}
