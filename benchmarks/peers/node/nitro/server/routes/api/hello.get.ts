export default defineEventHandler(() => ({ message: "Hello World!" }));
