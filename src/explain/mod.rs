//! Why is somebody permitted something, or not? Knows who may ask that, how a question is described, and whom to ask for the
//! answer; promises that whoever may not ask learns nothing, not even that there is such a grant; refuses to know how a door
//! speaks, and changes nothing: a token that is shown here is verified and not spent.

mod described;
mod service;
mod world;

pub use described::{DescribeError, Described, DescribedAuth, DescribedElevation};
pub use service::{ExplainError, Explainer};
pub use world::world;
