// Next wants one, also where there is no page.
export default function Layout({ children }) {
  return (
    <html>
      <body>{children}</body>
    </html>
  );
}
