//! What the ten objects are: declarations that the rest of the program walks. Nothing in here
//! talks to the network or to a database.

mod column;
mod endpoint;
mod mapping;
mod object;
pub mod objects;
pub mod record;
mod row;
pub mod text;
pub mod time;

pub use column::{Column, From, Person, Transform, Type};
pub use endpoint::{ApiVersion, Detail, Endpoint, Endpoints, Fresh, Gone, Paging, V3_PER_PAGE, V4_PER_PAGE};
pub use mapping::Mapping;
pub use object::{Object, Source, Watermark};
pub use row::{Batch, Quarantined, Row, Value};
pub use time::Time;
