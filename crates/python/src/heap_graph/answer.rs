//! What is handed to Python: plain values, built when all reading is done.

use pyo3_ffi::*;

/// A value of Python's, not yet made.
#[derive(Clone, Debug)]
pub enum Value {
    /// `None`
    None,
    /// A `bool`.
    Bool(bool),
    /// An `int`.
    Int(u64),
    /// A `str`.
    Text(String),
    /// A `list`.
    List(Vec<Value>),
    /// A `dict`.
    Dict(Vec<(&'static str, Value)>),
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(list: Vec<T>) -> Self {
        Self::List(list.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(option: Option<T>) -> Self {
        option.map_or(Self::None, Into::into)
    }
}

impl Value {
    /// Makes the object; null with an exception set if there is no memory.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    pub unsafe fn into_object(self) -> *mut PyObject {
        // SAFETY: the caller's contract; each reference goes to its container
        // or is released.
        unsafe {
            match self {
                Self::None => Py_NewRef(Py_None()),
                Self::Bool(truth) => Py_NewRef(if truth { Py_True() } else { Py_False() }),
                Self::Int(number) => PyLong_FromUnsignedLongLong(number),
                Self::Text(text) => PyUnicode_DecodeUTF8(
                    text.as_ptr().cast(),
                    text.len() as Py_ssize_t,
                    c"replace".as_ptr(),
                ),
                Self::List(values) => {
                    let list = PyList_New(values.len() as Py_ssize_t);
                    if list.is_null() {
                        return list;
                    }
                    for (index, value) in values.into_iter().enumerate() {
                        let object = value.into_object();
                        if object.is_null() {
                            Py_DECREF(list);
                            return object;
                        }
                        PyList_SET_ITEM(list, index as Py_ssize_t, object);
                    }
                    list
                }
                Self::Dict(values) => {
                    let dict = PyDict_New();
                    if dict.is_null() {
                        return dict;
                    }
                    for (name, value) in values {
                        let key = Self::Text(name.into()).into_object();
                        let object = if key.is_null() {
                            key
                        } else {
                            value.into_object()
                        };
                        let good = !object.is_null() && PyDict_SetItem(dict, key, object) == 0;
                        Py_XDECREF(key);
                        Py_XDECREF(object);
                        if !good {
                            Py_DECREF(dict);
                            return std::ptr::null_mut();
                        }
                    }
                    dict
                }
            }
        }
    }
}
