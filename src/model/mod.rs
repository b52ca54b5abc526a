//! What the ten objects are: declarations that the rest of the program walks. Nothing in here
//! talks to the network or to a database; nothing outside knows an object by its name.

mod mapping;
mod object;
pub mod objects;
pub mod record;
mod row;
pub mod text;
pub mod time;

pub use mapping::Mapping;
pub use object::{
    ApiVersion, Column, Detail, Endpoint, Endpoints, Fresh, From, Gone, Object, Paging, Person, Source,
    Transform, Type, V3_PER_PAGE, V4_PER_PAGE, Watermark,
};
pub use row::{Batch, Quarantined, Row, Value};
pub use time::Time;
