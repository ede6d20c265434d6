// Fastify as its guide has it: JSON schemas for parameters, bodies and answers, so that it validates
// and serializes by compiled code. Logging is off.
//
// Run:  node fastify.js PORT
"use strict";

const app = require("fastify")({ logger: false });

const hello = { type: "object", properties: { message: { type: "string" } } };
app.get("/api/hello", { schema: { response: { 200: hello } } }, async () => ({ message: "Hello World!" }));

const found = { type: "object", properties: { id: { type: "integer" }, q: { type: "string", nullable: true } } };
const params = { type: "object", properties: { id: { type: "integer" } }, required: ["id"] };
const querystring = { type: "object", properties: { q: { type: "string" } } };
app.get("/api/items/:id", { schema: { params, querystring, response: { 200: found } } }, async (request) => ({
  id: request.params.id,
  q: request.query.q ?? null,
}));

const tags = { type: "array", items: { type: "string" } };
const body = {
  type: "object",
  properties: {
    name: { type: "string", minLength: 1, maxLength: 100 },
    price: { type: "number", minimum: 0 },
    quantity: { type: "integer", minimum: 1 },
    tags: { ...tags, default: [] },
  },
  required: ["name", "price", "quantity"],
};
const made = { type: "object", properties: { name: { type: "string" }, tags, total: { type: "number" } } };
app.post("/api/items", { schema: { body, response: { 201: made } } }, async (request, reply) => {
  const { name, price, quantity, tags } = request.body;
  reply.code(201);
  return { name, tags, total: price * quantity };
});

app.listen({ host: "127.0.0.1", port: Number(process.argv[2]) });
