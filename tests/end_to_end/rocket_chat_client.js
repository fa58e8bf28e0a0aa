// The whole way of an import, driven by Rocket.Chat's published client. Arguments: URL, user id, token, zip in base64.
const { RestClient } = require('@rocket.chat/api-client');

const [baseUrl, userId, token, binaryContent] = process.argv.slice(2);
const client = new RestClient({ baseUrl, credentials: { 'X-User-Id': userId, 'X-Auth-Token': token } });
const moment = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function main() {
    const answers = {};
    const upload = { binaryContent, contentType: 'application/zip', fileName: 'export.zip', importerKey: 'slack' };
    answers.upload = await client.post('/v1/uploadImportFile', upload);
    do {
        await moment(50);
        answers.data = await client.get('/v1/getImportFileData');
    } while (answers.data.waiting);
    const { users, channels } = answers.data;
    answers.start = await client.post('/v1/startImport', { input: { users, channels } });
    answers.pending = await client.post('/v1/downloadPendingFiles', {});
    do {
        await moment(50);
        answers.progress = await client.get('/v1/getImportProgress');
    } while (answers.progress.step !== 'importer_done');
    answers.operation = await client.get('/v1/getCurrentImportOperation');
    answers.latest = await client.get('/v1/getLatestImportOperations');
    answers.refused = await client.post('/v1/startImport', { input: {} }).catch((error) => error.json());
    console.log(JSON.stringify(answers));
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
