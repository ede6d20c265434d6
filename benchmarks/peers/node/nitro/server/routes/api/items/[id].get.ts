import { parseId } from "../../../../shared/item.mjs";

export default defineEventHandler((event) => {
  const id = parseId(getRouterParam(event, "id"));
  if (id === null) throw createError({ statusCode: 404 });
  return { id, q: getQuery(event).q ?? null };
});
