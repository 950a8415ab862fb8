mod files;
mod fixture;
mod points;
mod requests;
