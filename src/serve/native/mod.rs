//! Forebay's own protocol: JSON over HTTP under `/v1`, its wire types, and the document that describes it. Must never share a wire
//! type with another protocol.

pub mod answer;
pub mod asked;
pub mod catalog;
pub mod copy;
pub mod dead_letters;
pub mod events;
pub mod exact;
pub mod frames;
pub mod lookup;
pub mod openapi;
pub mod request;
pub mod score;
pub mod trim;
