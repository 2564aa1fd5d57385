//! The table of all tracebacks in Apache Parquet, one row group.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use super::columns::{Column, Values, columns};
use crate::recording::Recording;

pub fn write(recording: &Recording, out: &mut (impl Write + Send)) -> io::Result<()> {
    let columns = columns(recording);
    write_columns(&columns, out).map_err(io::Error::other)
}

fn field(column: &Column) -> Result<Arc<Type>, ParquetError> {
    let field = match column.values {
        Values::Text(_) => Type::primitive_type_builder(column.name, Physical::BYTE_ARRAY)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(Some(LogicalType::String)),
        Values::Number(_) => Type::primitive_type_builder(column.name, Physical::INT64)
            .with_repetition(Repetition::REQUIRED),
    };
    Ok(Arc::new(field.build()?))
}

fn write_columns(columns: &[Column], out: &mut (impl Write + Send)) -> Result<(), ParquetError> {
    let fields = columns.iter().map(field).collect::<Result<_, _>>()?;
    let schema = Type::group_type_builder("tracebacks")
        .with_fields(fields)
        .build()?;
    let properties = WriterProperties::builder()
        .set_created_by(concat!("wrasse ", env!("CARGO_PKG_VERSION")).into())
        .build();
    let mut file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?;
    let mut group = file.next_row_group()?;
    for column in columns {
        let Some(mut writer) = group.next_column()? else {
            break;
        };
        match &column.values {
            Values::Text(values) => {
                let levels: Vec<i16> = values.iter().map(|v| v.is_some().into()).collect();
                let present: Vec<ByteArray> = values
                    .iter()
                    .flatten()
                    .map(|value| value.as_str().into())
                    .collect();
                let typed = writer.typed::<ByteArrayType>();
                typed.write_batch(&present, Some(&levels), None)?;
            }
            Values::Number(values) => {
                let signed = |value: &u64| i64::try_from(*value).unwrap_or(i64::MAX);
                let values: Vec<i64> = values.iter().map(signed).collect();
                writer
                    .typed::<Int64Type>()
                    .write_batch(&values, None, None)?;
            }
        }
        writer.close()?;
    }
    group.close()?;
    file.close()?;
    Ok(())
}
