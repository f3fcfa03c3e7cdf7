// A worker that paints: ONNX Runtime Web with one style's network. It asks nobody for anything, and answers each message
// with the message's `id` and either `result` or `error`.
let ort, session, provider;

const tasks = {
  async start({ script, program, kind }) {
    ort = await import(script);
    Object.assign(ort.env.wasm, { wasmBinary: program, numThreads: 1 }); // more need a page isolated from others
    ort.env.logLevel = "error";
    provider = kind;
  },

  async load({ weights }) {
    const before = session;
    session = undefined;
    await before?.release();
    const create = () => ort.InferenceSession.create(new Uint8Array(weights), { executionProviders: [provider] });
    session = await create().catch((error) => {
      if (provider === "wasm") throw error;
      provider = "wasm"; // there is a graphics chip, but this worker cannot use it
      return create();
    });
    return provider;
  },

  async paint({ pixels, width, height }) { // RGBA in and out; the transparency stays
    const plane = width * height, values = new Float32Array(3 * plane);
    for (let from = 0, to = 0; to < plane; from += 4, to++) {
      values[to] = pixels[from];
      values[to + plane] = pixels[from + 1];
      values[to + 2 * plane] = pixels[from + 2];
    }
    const { painted } = await session.run({ photo: new ort.Tensor("float32", values, [1, 3, height, width]) });
    const made = await painted.getData();
    painted.dispose();
    for (let from = 0, to = 0; from < plane; from++, to += 4) { // a clamped array also rounds
      pixels[to] = made[from];
      pixels[to + 1] = made[from + plane];
      pixels[to + 2] = made[from + 2 * plane];
    }
    return pixels;
  },
};

async function answer({ id, task, ...given }) {
  try {
    const result = await tasks[task](given);
    postMessage({ id, result }, result?.buffer ? [result.buffer] : []);
  } catch (error) {
    postMessage({ id, error: String(error?.message ?? error) });
  }
}

let last = Promise.resolve();
onmessage = ({ data }) => { last = last.then(() => answer(data)); }; // one after the other
