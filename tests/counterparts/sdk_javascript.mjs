// An unmodified AWS SDK for JavaScript v3 with its default credential chain. Its environment alone says where credentials
// come from.
//
//   node sdk_javascript.mjs  < commands
//
// Answers each line of standard input with one JSON line, and ends with it:
//
//   read BUCKET   gets `hello.txt`                      {"ok": true, "body"}
//   whoami        asks STS who it is                    {"ok": true, "arn"}
//   keys          what the chain has found              {"ok": true, "AccessKeyId", "SecretAccessKey", "SessionToken"}
//
// Whatever the SDK throws is {"ok": false, "code", "message"}: the message is what its user would see.

import { createInterface } from 'node:readline';

import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';

const s3 = new S3Client({});
const sts = new STSClient({});

const commands = {
  async read(bucket) {
    const object = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: 'hello.txt' }));
    return { body: await object.Body.transformToString() };
  },
  async whoami() {
    return { arn: (await sts.send(new GetCallerIdentityCommand({}))).Arn };
  },
  async keys() {
    const { accessKeyId, secretAccessKey, sessionToken } = await s3.config.credentials();
    return { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken: sessionToken };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...rest] = line.split(' ');
  const answer = await commands[command](...rest).then(
    (found) => ({ ok: true, ...found }),
    (error) => ({ ok: false, code: error.name, message: error.message }),
  );
  console.log(JSON.stringify(answer));
}
