// W3's rules by hand, for peers on Node that bring no validation; a schema library would cost them more.
const isText = (value) => typeof value === "string";

export const parseItem = (body) => {
  if (typeof body !== "object" || body === null) return null;
  const { name, price, quantity, tags = [] } = body;
  if (!isText(name) || name.length < 1 || name.length > 100) return null;
  if (typeof price !== "number" || !(price >= 0)) return null;
  if (!Number.isInteger(quantity) || quantity < 1) return null;
  if (!Array.isArray(tags) || !tags.every(isText)) return null;
  return { name, price, quantity, tags };
};

export const parseId = (text) => (/^\d{1,15}$/.test(text) ? Number(text) : null);
