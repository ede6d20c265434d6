// Prints as JSON what went wrong: node main.mjs URL
import { cut, run } from "./built/calls.js";

console.log(JSON.stringify([...(await run(process.argv[2])), ...(await cut())]));
process.exit(0);
