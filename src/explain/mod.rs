//! Why is somebody permitted something, or not? Knows who may ask that, how a question is described, and whom to ask for the
//! answer; promises that whoever may not ask learns nothing, not even that there is such a grant; refuses to know how a door
//! speaks, and changes nothing: a token that is shown here is verified and not spent.

mod beside;
mod described;
mod named;
mod service;
mod world;

pub use beside::{Answer, By, Finding};
pub use described::{AboutElevation, DescribeError, Described, DescribedAuth, DescribedElevation};
pub use service::{ExplainError, Explainer};
pub use world::world;
