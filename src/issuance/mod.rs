//! What we give: JWTs that we sign and AWS credentials that STS makes. A [`Permit`](crate::policy::Permit) in, a
//! sealed [`Credential`] out. Knows formats and limits of both; refuses to know who the caller is beyond what the
//! permit and the templates see.

pub mod aws;
mod credential;
mod error;
mod jws;
mod jwt;

pub use aws::{AwsIssuer, AwsOrder, Footing, Turn};
pub use credential::{Credential, CredentialFacts, Made, OpenCredential, Standing, WrongReceipt};
pub use error::{Blame, IssueError};
pub use jwt::{JwtIssuer, JwtOrder};
