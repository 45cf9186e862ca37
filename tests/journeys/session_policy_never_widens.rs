//! A session policy allows no more than the grant's own and, when the caller brought one, no more than the caller's: judged by
//! `@cloud-copilot/iam-simulate`, for random grants, claims, callers' policies and requests.

use serde_json::{Value, json};
use tidegate::clock::Moment;
use tidegate::entropy::{self, SystemEntropy};
use tidegate::grants::{Attributes, AwsGrant, PolicyTemplate, RoleArn};
use tidegate::issuance::aws::{LimitError, NarrowError, PlanError, session_policy};

use crate::harness::chance::Chance;
use crate::harness::policies::{self, Request};
use crate::harness::tools;

/// The same in every run, so that a failure is one for everybody.
const FIXED_SEED: u64 = 0x7469_6465_6761_7465;

const GRANTS: usize = 500;
const REQUESTS: usize = 8;

/// Enough where a mistake would show in many.
const SOME: usize = 150;

/// After every request of [`policies::request`] but those that come too late.
fn ends_at() -> Moment {
    policies::END.parse::<jiff::Timestamp>().map(|end| Moment::from_unix_seconds(end.as_second())).unwrap()
}

struct Claims(String);

impl Attributes for Claims {
    fn attribute(&self, path: &str) -> Option<String> {
        (path == policies::CLAIM).then(|| self.0.clone())
    }
}

/// One session policy, what it was made of, and what is asked under it.
struct World {
    session: Value,
    /// With the claim in its place; without one, the role decides.
    own: Option<Value>,
    asked: Option<Value>,
    requests: Vec<Request>,
}

#[derive(Debug, Default)]
struct Count {
    made: usize,
    narrowed: usize,
    claim_refused: usize,
    inexpressible: usize,
    nothing_left: usize,
    too_long: usize,
}

/// Random worlds, made by the code that plans every AWS credential.
fn worlds(seed: u64) -> (Vec<World>, Count) {
    let (mut chance, mut worlds, mut count) = (Chance::new(seed), Vec::new(), Count::default());
    for _ in 0..GRANTS {
        let template = chance.in_ten(9).then(|| policies::policy(&mut chance, true));
        let asked = chance.in_ten(8).then(|| policies::policy(&mut chance, false));
        let claim = policies::claim(&mut chance);
        let role = RoleArn::new("arn:aws:iam::123456789012:role/orders").unwrap();
        let parsed = template.as_ref().map(|template| PolicyTemplate::parse(&template.to_string()).unwrap());
        let grant = AwsGrant::new(role, parsed);
        let text = asked.as_ref().map(Value::to_string);
        match session_policy(&grant, &Claims(claim.to_owned()), text.as_deref(), ends_at()) {
            Ok(session) => {
                count.made += 1;
                count.narrowed += usize::from(asked.is_some() && template.is_some());
                let own = template.map(|template| policies::filled(&template, claim));
                let requests = (0..REQUESTS).map(|_| policies::request(&mut chance)).collect();
                worlds.push(World { session: serde_json::from_str(&session).unwrap(), own, asked, requests });
            }
            Err(PlanError::Policy(_)) => count.claim_refused += 1,
            Err(PlanError::Narrowing(NarrowError::Nothing)) => count.nothing_left += 1,
            Err(PlanError::Narrowing(NarrowError::Overlap(_) | NarrowError::Condition { .. })) => {
                count.inexpressible += 1;
            }
            Err(
                PlanError::Narrowing(NarrowError::SessionLength(_))
                | PlanError::Limit(LimitError::PolicyLength(_)),
            ) => count.too_long += 1,
            Err(other) => panic!("seed {seed:#x}: {other}"),
        }
    }
    (worlds, count)
}

/// What the simulator says of one request: by session policy, own policy, caller's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    session: bool,
    own: bool,
    asked: bool,
}

impl Verdict {
    fn is_wider(self) -> bool {
        self.session && !(self.own && self.asked)
    }
}

/// One process for all. Without a policy of the grant or the caller, that side allows everything.
fn judge<'w>(worlds: &'w [World]) -> Vec<(&'w World, &'w Request, Verdict)> {
    let everything = policies::everything();
    let (mut documents, mut cases) = (vec![&everything], Vec::new());
    for world in worlds {
        let mut place = |policy: Option<&'w Value>| {
            documents.extend(policy);
            policy.map_or(0, |_| documents.len() - 1)
        };
        let places = [Some(&world.session), world.own.as_ref(), world.asked.as_ref()].map(&mut place);
        for request in &world.requests {
            cases.extend(places.map(|place| request.case(place)));
        }
    }
    let asked = json!({ "policies": documents, "cases": cases }).to_string();
    let (good, answers) = tools::ask(&mut tools::node("iam_simulate.mjs"), &asked);
    assert!(good, "not judged: {answers}");
    let answers: Vec<bool> = serde_json::from_value(answers).unwrap();
    let requests = worlds.iter().flat_map(|world| world.requests.iter().map(move |request| (world, request)));
    let verdicts = answers.chunks_exact(3).map(|one| Verdict { session: one[0], own: one[1], asked: one[2] });
    let judged: Vec<_> =
        requests.zip(verdicts).map(|((world, request), verdict)| (world, request, verdict)).collect();
    assert_eq!(judged.len() * 3, answers.len());
    judged
}

fn no_session_is_wider(seed: u64) {
    let (worlds, count) = worlds(seed);
    let judged = judge(&worlds);
    for (world, request, verdict) in &judged {
        assert!(
            !verdict.is_wider(),
            "seed {seed:#x}: {verdict:?} for {request:?}\nsession {}\nown {:?}\nasked {:?}",
            world.session,
            world.own.as_ref().map(Value::to_string),
            world.asked.as_ref().map(Value::to_string),
        );
    }
    // Otherwise a broker that allows nothing, or cuts nothing off, would pass.
    let share = |question: fn(Verdict) -> bool| {
        judged.iter().filter(|(.., verdict)| question(*verdict)).count() * 100 / judged.len()
    };
    let (allowed, cut) = (share(|verdict| verdict.session), share(|verdict| verdict.own && !verdict.session));
    println!(
        "seed {seed:#x}: {count:?}, of {} requests {allowed} % are allowed, {cut} % cut off",
        judged.len()
    );
    assert!(count.narrowed > GRANTS / 5 && count.claim_refused > 0, "seed {seed:#x}: {count:?}");
    assert!(allowed >= 10 && cut >= 10, "seed {seed:#x}: {allowed} % allowed, {cut} % cut off");
}

#[test]
fn no_session_policy_allows_more_than_the_grant_or_the_caller() {
    no_session_is_wider(FIXED_SEED);
}

#[test]
fn nor_with_a_fresh_seed() {
    no_session_is_wider(u64::from_le_bytes(entropy::bytes(&SystemEntropy::new()).unwrap()));
}

/// The same judge, shown a broker that forgets one side.
#[test]
fn a_session_policy_that_forgets_one_side_is_found() {
    let (mut worlds, _) = worlds(FIXED_SEED);
    worlds.truncate(SOME);
    let planted = |policy: fn(&World) -> Option<&Value>| {
        let forgetful = worlds.iter().filter(|world| world.own.is_some()).filter_map(|world| {
            let (own, asked, requests) = (world.own.clone(), world.asked.clone(), world.requests.clone());
            Some(World { session: policy(world)?.clone(), own, asked, requests })
        });
        let forgetful: Vec<_> = forgetful.collect();
        judge(&forgetful).iter().filter(|(.., verdict)| verdict.is_wider()).count()
    };
    let without_the_grants = planted(|world| world.asked.as_ref());
    let without_the_callers = planted(|world| world.own.as_ref().filter(|_| world.asked.is_some()));
    assert!(
        without_the_grants > 20 && without_the_callers > 20,
        "{without_the_grants} {without_the_callers}"
    );
}

/// And it ends: after the end nothing is allowed, whatever anybody wrote.
#[test]
fn no_session_policy_allows_anything_after_its_end() {
    let (mut worlds, _) = worlds(FIXED_SEED);
    worlds.truncate(SOME);
    for world in &mut worlds {
        world.requests.iter_mut().for_each(Request::comes_too_late);
    }
    let judged = judge(&worlds);
    assert!(judged.iter().all(|(.., verdict)| !verdict.session));
    assert!(judged.iter().filter(|(.., verdict)| verdict.own && verdict.asked).count() > 100);
}
