// The standalone server is what the deployment guide starts. Compression is off, as the same guide advises behind a
// proxy: no other contender compresses, and W1h asks for it.
export default {
  output: "standalone",
  compress: false,
  outputFileTracingRoot: import.meta.dirname,
  serverExternalPackages: ["better-sqlite3"],
};
