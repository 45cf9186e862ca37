// Which requests do policies allow? The answers are those of `@cloud-copilot/iam-simulate` (npm), an evaluator of IAM policies
// that shares nothing with the broker.
//
//   node iam_simulate.mjs  < {"policies": [...], "cases": [{"policy": 0, "action", "resource", "context": {...}}, ...]}
//
// Prints one JSON line: a boolean for each case. A policy or request that the simulator does not take ends the program with
// exit code 1: a case that was not judged would look like one that was denied.

import { readFileSync } from 'node:fs';

import { runSimulation } from '@cloud-copilot/iam-simulate';

const account = '123456789012';
const principal = `arn:aws:iam::${account}:role/orders`;
const { policies, cases } = JSON.parse(readFileSync(0, 'utf8'));

async function allowed({ policy, action, resource, context }) {
  const simulation = {
    request: { principal, action, resource: { resource, accountId: account }, contextVariables: context },
    identityPolicies: [{ name: 'policy', policy: policies[policy] }],
    serviceControlPolicies: [],
    resourceControlPolicies: [],
  };
  const answer = await runSimulation(simulation, {});
  if (answer.resultType !== 'single') {
    throw new Error(JSON.stringify({ answer, policy: policies[policy], action, resource }));
  }
  return answer.overallResult === 'Allowed';
}

try {
  const answers = [];
  for (const one of cases) answers.push(await allowed(one));
  console.log(JSON.stringify(answers));
} catch (error) {
  console.log(JSON.stringify(error.message));
  process.exit(1);
}
