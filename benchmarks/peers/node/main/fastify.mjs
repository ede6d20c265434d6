// Fastify as its guide has it: JSON schemas for parameters, bodies and answers, so that it validates
// and serializes by compiled code. Logging is off.
//
// Run:  node fastify.mjs PORT
import { PassThrough } from "node:stream";
import Fastify from "fastify";
import pg from "pg";
import { db, tenRows } from "./shared/rows.mjs";

const app = Fastify({ logger: false, bodyLimit: 2 * 1024 * 1024 });

const text = { type: "string" };
const integer = { type: "integer" };
const object = (properties, required) => ({ type: "object", properties, ...(required ? { required } : {}) });
const byId = object({ id: integer }, ["id"]);

const hello = object({ message: text });
app.get("/api/hello", { schema: { response: { 200: hello } } }, async () => ({ message: "Hello World!" }));

const found = object({ id: integer, q: { type: "string", nullable: true } });
app.get(
  "/api/items/:id",
  { schema: { params: byId, querystring: object({ q: text }), response: { 200: found } } },
  async (request) => ({ id: request.params.id, q: request.query.q ?? null }),
);

const tags = { type: "array", items: text };
const body = object(
  {
    name: { type: "string", minLength: 1, maxLength: 100 },
    price: { type: "number", minimum: 0 },
    quantity: { type: "integer", minimum: 1 },
    tags: { ...tags, default: [] },
  },
  ["name", "price", "quantity"],
);
const made = object({ name: text, tags, total: { type: "number" } });
app.post("/api/items", { schema: { body, response: { 201: made } } }, async (request, reply) => {
  const { name, price, quantity, tags } = request.body;
  reply.code(201);
  return { name, tags, total: price * quantity };
});

const list = (properties) => ({ 200: { type: "array", items: object(properties) } });
const article = { id: integer, title: text, views: integer, body: text };
app.get("/api/articles", { schema: { response: list(article) } }, async () => tenRows());

const user = object({ id: integer, name: text, email: text });
const pool = new pg.Pool({ connectionString: process.env.BENCH_POSTGRES, max: 10 }); // connects when asked first
app.get("/api/users/:id", { schema: { params: byId, response: { 200: user } } }, async (request, reply) => {
  const query = { name: "user", text: "select id, name, email from users where id = $1", values: [request.params.id] };
  const { rows } = await pool.query(query);
  return rows[0] ?? reply.code(404).send({ error: "Not found" });
});

const note = object({ title: text, body: text }, ["title", "body"]);
const write = db.prepare("insert into notes (title, body) values (?, ?)");
app.post("/api/notes", { schema: { body: note, response: { 201: byId } } }, async (request, reply) => {
  reply.code(201);
  return { id: write.run(request.body.title, request.body.body).lastInsertRowid };
});

app.addContentTypeParser("application/octet-stream", { parseAs: "buffer" }, (request, payload, done) =>
  done(null, payload),
);
app.post("/api/upload", { schema: { response: { 200: object({ size: integer }) } } }, async (request) => ({
  size: request.body.length,
}));

app.get("/api/events", (request, reply) => {
  const stream = new PassThrough();
  let n = 0;
  const tick = () => stream.write(`data: {"n":${n++}}\n\n`);
  tick();
  const timer = setInterval(tick, 50);
  request.raw.on("close", () => clearInterval(timer));
  reply.header("content-type", "text/event-stream").send(stream);
});

// The blog of W9.
const columns = { id: integer, title: text, content: text, created_at: text };
const page = object({ page: { ...integer, minimum: 1, default: 1 }, limit: { ...integer, minimum: 1, maximum: 100, default: 10 } });
const post = object({ title: { ...text, minLength: 1, maxLength: 200 }, content: { ...text, minLength: 1 } }, ["title", "content"]);
const posts = db.prepare("select id, title, content, created_at from posts order by id limit ? offset ?");
const one = db.prepare("select id, title, content, created_at from posts where id = ?");
const add = db.prepare("insert into posts (title, content) values (?, ?) returning id, title, content, created_at");
app.get("/api/posts", { schema: { querystring: page, response: list(columns) } }, async (request) => {
  const { page, limit } = request.query;
  return posts.all(limit, (page - 1) * limit);
});
app.get(
  "/api/posts/:id",
  { schema: { params: byId, response: { 200: object(columns) } } },
  async (request, reply) => one.get(request.params.id) ?? reply.code(404).send({ error: "Not found" }),
);
app.post("/api/posts", { schema: { body: post, response: { 201: object(columns) } } }, async (request, reply) => {
  reply.code(201);
  return add.get(request.body.title, request.body.content);
});

app.listen({ host: "127.0.0.1", port: Number(process.argv[2]) });
