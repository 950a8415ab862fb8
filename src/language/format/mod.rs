pub fn format(file: &super::SourceFile) -> Result<String, Vec<super::Diagnostic>> { let _ = file; Ok(String::new()) }
