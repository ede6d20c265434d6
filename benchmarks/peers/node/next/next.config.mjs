// eslint and type checks are no part of what is measured; the standalone server is what the deployment guide starts.
export default { output: "standalone", outputFileTracingRoot: import.meta.dirname, serverExternalPackages: ["better-sqlite3"] };
