import { parseItem } from "../../../../shared/item.mjs";

export default defineEventHandler(async (event) => {
  const item = parseItem(await readBody(event));
  if (item === null) throw createError({ statusCode: 422 });
  setResponseStatus(event, 201);
  return { name: item.name, tags: item.tags, total: item.price * item.quantity };
});
