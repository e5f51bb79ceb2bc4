# glibc, since neither ONNX Runtime nor uWebSockets.js has a musl build.
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.json ./
ENV ONNXRUNTIME_NODE_INSTALL=skip
# hnswlib-node is compiled; the others bring their binaries.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 make g++ && rm -r /var/lib/apt/lists/*
RUN npm ci --no-audit --no-fund
COPY src src
COPY native-workers native-workers
RUN npx tsc -p tsconfig.json --sourceMap false && npm prune --omit=dev --no-audit --no-fund
# The packages ship binaries for every platform; this image runs one.
RUN set -eu; arch="$(node -p process.arch)"; abi="$(node -p process.versions.modules)"; \
    find node_modules/onnxruntime-node/bin/napi-v6 -mindepth 1 -maxdepth 1 ! -name linux -exec rm -r {} +; \
    find node_modules/onnxruntime-node/bin/napi-v6/linux -mindepth 1 -maxdepth 1 ! -name "$arch" -exec rm -r {} +; \
    find node_modules/uWebSockets.js/dist/bin -type f ! -name "uws_linux_${arch}_${abi}.node" -delete

FROM node:22-bookworm-slim
WORKDIR /app
# glibc's threshold grows with what is freed, and then it keeps the memory of models that left.
ENV NODE_ENV=production HOST=0.0.0.0 DATA_DIR=/data MALLOC_MMAP_THRESHOLD_=131072
RUN mkdir /data && chown node:node /data
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY src/proto src/proto
COPY models/all-MiniLM-L6-v2 models/all-MiniLM-L6-v2
COPY models/demo models/demo
COPY models/verdict models/verdict
COPY package.json LICENSE ./
USER node
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || process.env.EMB_PROVIDER_PORT || 8000}/readyz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/src/main.js"]
