export default function NotFound() {
  return (
    <html lang="en">
      <body>
        <main>
          <h1>404</h1>
          <p>
            <a href="/en">Souq</a>
          </p>
        </main>
      </body>
    </html>
  );
}
