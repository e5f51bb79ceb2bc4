// Where models come from.
import Type from 'typebox';
import { row, timerMsMax, yesNo } from '../option.ts';

export const hubOptions = {
  // Other programs use these too; what is wrong with them matters only where a hub is asked: hub/settings.ts.
  hubEndpoint: Type.String({ minLength: 1, default: 'https://huggingface.co', ...row({
    group: 'Hub', flag: 'hub-endpoint', env: ['HF_ENDPOINT'], allowed: 'a URL such as https://hub.example.com',
    help: 'The Hugging Face hub, or a mirror of it, that models are pulled from.' }) }),
  hubToken: Type.Optional(Type.String({ minLength: 1, ...row({
    group: 'Hub', flag: 'hub-token', env: ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN'], secret: true,
    help: 'Token for private and gated repositories. Unset: what `hf auth login` has left.' }) })),
  hubTokenPath: Type.Optional(Type.String({ minLength: 1, ...row({
    group: 'Hub', flag: 'hub-token-path', env: ['HF_TOKEN_PATH'], help: 'That file. Unset: token in HF_HOME.' }) })),
  hubOffline: yesNo(false, {
    group: 'Hub', flag: 'hub-offline', env: ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'], shared: true,
    help: 'Use what the cache has and ask the hub for nothing.' }),
  hubHome: Type.Optional(Type.String({ minLength: 1, ...row({
    group: 'Hub', flag: 'hub-home', env: ['HF_HOME'],
    help: 'Folder that Hugging Face programs share. Unset: huggingface in XDG_CACHE_HOME.' }) })),
  hubCache: Type.Optional(Type.String({ minLength: 1, ...row({
    group: 'Hub', flag: 'hub-cache', env: ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE'],
    help: 'Folder for pulled models, laid out as Python\'s huggingface_hub does. Unset: hub in HF_HOME.' }) })),
  cacheHome: Type.Optional(Type.String({ minLength: 1, ...row({
    group: 'Hub', flag: 'cache-home', env: ['XDG_CACHE_HOME'],
    help: 'Folder for the caches of all programs. Unset: .cache in the home folder.' }) })),
  hubRequestTimeoutMs: Type.Integer({ minimum: 1, maximum: timerMsMax, default: 10_000, ...row({
    group: 'Hub', flag: 'hub-timeout', env: ['HF_HUB_ETAG_TIMEOUT'], unit: 'seconds', shared: true,
    help: 'How long the hub may take to say what a repository has.' }) }),
  hubDownloadTimeoutMs: Type.Integer({ minimum: 1, maximum: timerMsMax, default: 10_000, ...row({
    group: 'Hub', flag: 'hub-download-timeout', env: ['HF_HUB_DOWNLOAD_TIMEOUT'], unit: 'seconds', shared: true,
    help: 'How long a download may stand still before it is resumed.' }) }),
  modelBytesMax: Type.Integer({ minimum: 1024, maximum: 1024 ** 4, default: 32 * 1024 ** 3, ...row({
    group: 'Hub', flag: 'max-model-size', env: ['MAX_MODEL_SIZE'], unit: 'bytes',
    help: 'Largest model that is pulled, all its files together.' }) }),
  quiet: yesNo(false, {
    group: 'Hub', flag: 'quiet', env: ['HF_HUB_DISABLE_PROGRESS_BARS'], shared: true,
    help: 'Show no progress while pulling; without a terminal there is none anyway.' }),
};
