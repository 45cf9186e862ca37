//! What can happen, and how often.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Everybody, by number: see [`Who::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Ann,
    Dan,
    Eve,
    Bob,
    Cyd,
    Fay,
    /// Bob at the vendor's issuer, which may not approve.
    BobOfVendor,
    Audrey,
    Sam,
}

impl Who {
    const ENGINEERS: [Self; 3] = [Self::Ann, Self::Dan, Self::Eve];
    const ALL: [Self; 9] = [
        Self::Ann,
        Self::Dan,
        Self::Eve,
        Self::Bob,
        Self::Cyd,
        Self::Fay,
        Self::BobOfVendor,
        Self::Audrey,
        Self::Sam,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ann => "vendor|ann",
            Self::Dan => "vendor|dan",
            Self::Eve => "customer|eve",
            Self::Bob => "customer|bob",
            Self::Cyd => "customer|cyd",
            Self::Fay => "customer|fay",
            Self::BobOfVendor => "vendor|bob",
            Self::Audrey => "customer|audrey",
            Self::Sam => "customer|sam",
        }
    }
}

/// What the policies say about approving. Engineers always may ask for up to two hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// Approvers of the customer may, Fay only up to half an hour. Two are needed.
    Full,
    /// Not Bob any more.
    WithoutBob,
    /// Nobody: the group is empty.
    Empty,
    /// As `Full`, but three are needed.
    Three,
}

/// Any of `read` (1), `write` (2) and `root` (4), which the grant does not have.
pub(super) type Scopes = u8;

/// Narrowing of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) seconds: Option<i64>,
    pub(super) scopes: Option<Scopes>,
}

/// A moment at which something turns.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge {
    Deadline,
    Opening,
    Warning,
}

/// What a lock is set on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    All,
    Vendor,
    Customer,
    Grant,
    Person(Who),
    Elevation(usize),
}

/// One step. Numbers name one of what is there, modulo.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Request {
        by: Who,
        seconds: i64,
        scopes: Option<Scopes>,
        wait: Option<i64>,
        twice: bool,
    },
    Approve {
        by: Who,
        which: usize,
        cut: Cut,
        twice: bool,
    },
    Race {
        which: usize,
        votes: Vec<(Who, Cut)>,
    },
    Deny {
        by: Who,
        which: usize,
    },
    Withdraw {
        by: Who,
        which: usize,
    },
    End {
        by: Who,
        which: usize,
    },
    Revoke {
        by: Who,
        which: usize,
        twice: bool,
    },
    /// A mint is decided on; its entry is written at once, or when `Deliver` comes.
    Mint {
        by: Who,
        which: Option<usize>,
        at_once: bool,
    },
    Deliver,
    Lock {
        on: Target,
        minutes: Option<u64>,
    },
    Lift(usize),
    Sweep,
    /// Milliseconds.
    Forward(i64),
    /// To the moment, or a millisecond beside it; never back.
    ForwardTo {
        edge: Edge,
        which: usize,
        beside: i64,
    },
    Back(i64),
    Restart,
    Policy(Rules),
}

/// 9 to 25 steps, the first of which is a request that is in order.
pub(super) fn histories() -> impl Strategy<Value = Vec<Step>> {
    (engineer(), asked(), option::weighted(0.3, 1_i64..7_200_000), vec(steps(), 8..=24)).prop_map(
        |(by, seconds, wait, mut steps)| {
            steps.insert(0, Step::Request { by, seconds, scopes: None, wait, twice: false });
            steps
        },
    )
}

fn engineer() -> impl Strategy<Value = Who> {
    prop::sample::select(Who::ENGINEERS.to_vec())
}

/// Mostly those who may.
fn approver() -> impl Strategy<Value = Who> {
    prop_oneof![
        8 => prop::sample::select(vec![Who::Bob, Who::Cyd, Who::Fay, Who::Eve]),
        1 => anybody(),
    ]
}

fn anybody() -> impl Strategy<Value = Who> {
    prop::sample::select(Who::ALL.to_vec())
}

/// Mostly whom it was asked by.
fn requester() -> impl Strategy<Value = Who> {
    prop_oneof![4 => engineer(), 1 => anybody()]
}

fn asked() -> impl Strategy<Value = i64> {
    prop_oneof![1_i64..5, 60_i64..7_200, Just(1_800), Just(3_600), Just(7_200)]
}

fn cut() -> impl Strategy<Value = Cut> {
    let seconds = prop_oneof![
        6 => Just(None),
        2 => (0_i64..4_000).prop_map(Some),
        2 => Just(Some(1_800)),
        1 => Just(Some(1)),
    ];
    (seconds, option::weighted(0.25, 0_u8..8)).prop_map(|(seconds, scopes)| Cut { seconds, scopes })
}

fn which() -> impl Strategy<Value = usize> {
    0_usize..6
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        13 => deciding(),
        5 => stopping(),
        7 => minting(),
        8 => turning(),
    ]
}

fn deciding() -> impl Strategy<Value = Step> {
    let seconds = prop_oneof![8 => asked(), 1 => Just(7_201), 1 => Just(14_401), 1 => Just(0)];
    let wait = option::weighted(0.3, prop_oneof![9 => 1_i64..7_200_000, 1 => Just(0)]);
    let request = (requester(), seconds, option::weighted(0.3, 0_u8..8), wait, any::<bool>());
    // Whoever clicks twice at once clicks the same twice.
    let votes = vec((approver(), cut()), 2..=4).prop_map(|mut votes| {
        let first = votes.clone();
        for vote in &mut votes {
            *vote = *first.iter().find(|earlier| earlier.0 == vote.0).unwrap_or(vote);
        }
        votes
    });
    prop_oneof![
        3 => request.prop_map(|(by, seconds, scopes, wait, twice)| Step::Request { by, seconds, scopes, wait, twice }),
        8 => (approver(), which(), cut(), any::<bool>())
            .prop_map(|(by, which, cut, twice)| Step::Approve { by, which, cut, twice }),
        2 => (which(), votes).prop_map(|(which, votes)| Step::Race { which, votes }),
    ]
}

fn stopping() -> impl Strategy<Value = Step> {
    let target = prop_oneof![
        Just(Target::All),
        Just(Target::Vendor),
        Just(Target::Customer),
        Just(Target::Grant),
        anybody().prop_map(Target::Person),
        which().prop_map(Target::Elevation),
    ];
    prop_oneof![
        1 => (approver(), which()).prop_map(|(by, which)| Step::Deny { by, which }),
        1 => (requester(), which()).prop_map(|(by, which)| Step::Withdraw { by, which }),
        1 => (requester(), which()).prop_map(|(by, which)| Step::End { by, which }),
        1 => (approver(), which(), any::<bool>()).prop_map(|(by, which, twice)| Step::Revoke { by, which, twice }),
        2 => (target, option::of(1_u64..30)).prop_map(|(on, minutes)| Step::Lock { on, minutes }),
        2 => (0_usize..3).prop_map(Step::Lift),
    ]
}

fn minting() -> impl Strategy<Value = Step> {
    let mint = (requester(), option::of(which()), any::<bool>());
    prop_oneof![
        4 => mint.prop_map(|(by, which, at_once)| Step::Mint { by, which, at_once }),
        2 => Just(Step::Deliver),
    ]
}

fn turning() -> impl Strategy<Value = Step> {
    let edge = prop_oneof![Just(Edge::Deadline), Just(Edge::Opening), Just(Edge::Warning)];
    let rules = prop::sample::select(vec![Rules::Full, Rules::WithoutBob, Rules::Empty, Rules::Three]);
    prop_oneof![
        6 => Just(Step::Sweep),
        2 => (1_i64..60_000).prop_map(Step::Forward),
        2 => (1_i64..3_600_000).prop_map(Step::Forward),
        5 => (edge, which(), -1_i64..=1)
            .prop_map(|(edge, which, beside)| Step::ForwardTo { edge, which, beside }),
        2 => prop_oneof![1_i64..30_000, Just(30_000)].prop_map(Step::Back),
        1 => prop_oneof![Just(30_001), 30_001_i64..300_000_000].prop_map(Step::Back),
        2 => Just(Step::Restart),
        // New policies take fifty times as long as anything else.
        1 => rules.prop_map(Step::Policy),
    ]
}
