// Objects as JSON on standard input, one list of what is wrong with each on standard output; null without a schema.
// The packages hold each CRD's schema compiled to a function that passes over unknown fields, as CRDs themselves say
// nothing of them. So an object is shown to it through a proxy: a field that no rule asked for, beside some that rules
// did ask for, is one the schema does not have. An object of which nothing is asked may hold anything.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const models = `${process.argv[2]}/node_modules/@kubernetes-models`;

async function validator({ apiVersion, kind }) {
  for (const name of readdirSync(models)) {
    const file = `${models}/${name}/${apiVersion}/${kind}.js`;
    if (!existsSync(file)) continue;
    const [, schema] = readFileSync(file, "utf8").match(/import\s*{\s*validate\s*}\s*from\s*"([^"]+)"/);
    return (await import(new URL(schema, pathToFileURL(file)))).validate;
  }
  return null;
}

function watched(value, path, seen) {
  if (value === null || typeof value !== "object") return value;
  const asked = new Set();
  const inside = new Map();
  seen.push({ value, path, asked });
  return new Proxy(value, {
    get(target, name) {
      if (typeof name !== "string" || !(Object.hasOwn(target, name) || !(name in target))) return target[name];
      asked.add(name);
      if (!inside.has(name)) inside.set(name, watched(target[name], `${path}/${name}`, seen));
      return inside.get(name);
    },
  });
}

function unknown(seen) {
  return seen
    .filter(({ value, asked }) => !Array.isArray(value) && asked.size)
    .flatMap(({ value, path, asked }) =>
      Object.keys(value).filter((name) => !asked.has(name)).map((name) => `${path}/${name} is no field of it`));
}

const found = [];
for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  const validate = await validator(object);
  const seen = [];
  if (validate === null) found.push(null);
  else if (validate(watched(object, "", seen))) found.push(unknown(seen));
  else
    found.push([
      ...validate.errors.map(({ instancePath, keyword, params }) =>
        `${instancePath || "/"} breaks "${keyword}" ${JSON.stringify(params)}`),
      ...unknown(seen),
    ]);
}
console.log(JSON.stringify(found));
