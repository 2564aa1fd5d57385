//! By what an object refers to another: an attribute, a key, a variable.
//!
//! Looked up when it is shown, by comparing addresses.

use std::ffi::CStr;
use std::ptr;

use pyo3_ffi::*;

use super::layout::*;
use super::names;
use super::referents::with_type_dict;
#[cfg(Py_3_13)]
use crate::layout::INLINE_VALUES;
use crate::layout::{CODE_LOCALS, FRAME, FRAME_LOCALS, FRAME_OF_OBJECT, OWNED_BY_GENERATOR, load};

unsafe extern "C" {
    fn _PyObject_GetDictPtr(object: *mut PyObject) -> *mut *mut PyObject;
}

/// How a reference is written behind its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// `.name`
    Attribute(String),
    /// `[key]`, with the brackets.
    Item(String),
    /// In words.
    Words(String),
}

const MANAGED: std::ffi::c_ulong = 1 << 4;
/// `T_OBJECT` and `T_OBJECT_EX`.
const OBJECT_MEMBERS: [i32; 2] = [6, 16];
/// `PyBaseExceptionObject` and `PyTracebackObject` (public structs).
const EXCEPTION_FIELDS: [(usize, &str); 5] = [
    (24, "args"),
    (32, "__notes__"),
    (40, "__traceback__"),
    (48, "__context__"),
    (56, "__cause__"),
];
const TRACEBACK_FIELDS: [(usize, &str); 2] = [(16, "tb_next"), (24, "tb_frame")];
/// `PyWeakReference` (public struct).
const CALLBACK: usize = 24;
/// More items of a deque are not looked at.
const DEQUE_ITEMS: Py_ssize_t = 10_000;

/// The `__dict__` of an object, borrowed; null if it has none.
/// An object whose attributes are kept without a dict has none, and gets none.
///
/// # Safety
/// The GIL is held, collections are off, objects are alive; so everywhere here.
pub unsafe fn namespace(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's contract; the object keeps its dict alive.
    unsafe {
        if PyModule_Check(object) != 0 {
            return PyModule_GetDict(object);
        }
        let kind = Py_TYPE(object);
        if PyType_Check(object) != 0 {
            let mut found = ptr::null_mut();
            with_type_dict(object.cast(), |dict| found = dict);
            return found;
        }
        if (*kind).tp_flags & MANAGED != 0 {
            let dict = *object.cast::<*mut PyObject>().offset(MANAGED_DICT);
            // 3.12: the values themselves, without a dict.
            let is_dict = dict as usize & 1 == 0;
            return if is_dict { dict } else { ptr::null_mut() };
        }
        if (*kind).tp_dictoffset == 0 {
            return ptr::null_mut();
        }
        let place = _PyObject_GetDictPtr(object);
        if place.is_null() {
            return ptr::null_mut();
        }
        *place
    }
}

/// The `__dict__` of an object that keeps its attributes beside it all the same: the
/// dict shares them. Whether `tp_traverse` tells of it depends on the patch release.
/// Null where there is none.
#[inline]
pub unsafe fn dict_beside_values(object: *mut PyObject) -> *mut PyObject {
    #[cfg(Py_3_13)]
    // SAFETY: the caller's contract; such types have both.
    unsafe {
        if (*Py_TYPE(object)).tp_flags & INLINE_VALUES != 0 && !inline_values(object).is_null() {
            return *object.cast::<*mut PyObject>().offset(MANAGED_DICT);
        }
    }
    let _ = object;
    ptr::null_mut()
}

/// The attribute whose value is `target`, of an object that keeps attributes
/// without a dict.
pub unsafe fn inline_attribute(object: *mut PyObject, target: *mut PyObject) -> Option<Access> {
    // SAFETY: the caller's contract; `layout::check` confirmed the offsets on
    // an instance. The keys are those of the type, which knows how many
    // there are; each key has a place among the values.
    unsafe {
        let kind = Py_TYPE(object);
        if (*kind).tp_flags & MANAGED == 0 || (*kind).tp_flags & Py_TPFLAGS_HEAPTYPE == 0 {
            return None;
        }
        let values = inline_values(object);
        let keys: *const u8 = (*kind.cast::<PyHeapTypeObject>()).ht_cached_keys.cast();
        if values.is_null() || keys.is_null() {
            return None;
        }
        let index: u8 = load(keys, KEYS_INDEX);
        let count: Py_ssize_t = load(keys, KEYS_ENTRIES);
        let entries = keys
            .add(KEYS_FIRST + (1 << index))
            .cast::<[*mut PyObject; 2]>();
        let values = values.add(VALUES_FIRST).cast::<*mut PyObject>();
        let number = (0..count.max(0) as usize).find(|number| *values.add(*number) == target)?;
        let name = names::text((*entries.add(number))[0])?;
        Some(Access::Attribute(name))
    }
}

/// The block of values of an object with a managed `__dict__`, or null.
unsafe fn inline_values(object: *mut PyObject) -> *const u8 {
    // SAFETY: as for `inline_attribute`.
    unsafe {
        let words = object.cast::<*const u8>();
        #[cfg(not(Py_3_12))]
        {
            *words.offset(MANAGED_VALUES)
        }
        #[cfg(all(Py_3_12, not(Py_3_13)))]
        {
            let word = *words.offset(MANAGED_DICT);
            let is_values = word as usize & 1 != 0;
            if is_values { word.add(1) } else { ptr::null() }
        }
        #[cfg(Py_3_13)]
        {
            let kind = Py_TYPE(object);
            let block = words.cast::<u8>().add((*kind).tp_basicsize as usize);
            let used =
                (*kind).tp_flags & INLINE_VALUES != 0 && load::<u8>(block, VALUES_VALID) != 0;
            if used { block } else { ptr::null() }
        }
    }
}

/// The block of an object's attributes, where that is one of its own.
///
/// # Safety
/// The object is alive.
pub unsafe fn values_block(object: *mut PyObject) -> Option<usize> {
    #[cfg(not(Py_3_13))]
    // SAFETY: the caller's contract. The byte before the values is the distance
    // to the beginning of their block.
    unsafe {
        let kind = Py_TYPE(object);
        if (*kind).tp_flags & MANAGED == 0 || (*kind).tp_flags & Py_TPFLAGS_HEAPTYPE == 0 {
            return None;
        }
        let values = inline_values(object);
        (!values.is_null()).then(|| values.sub(usize::from(*values.sub(1))) as usize)
    }
    #[cfg(Py_3_13)]
    {
        let _ = object;
        None
    }
}

/// The bytes of that block, which no `__sizeof__` counts; 0 where there is none, or
/// where it was not traced.
pub unsafe fn values_size(object: *mut PyObject) -> u64 {
    // SAFETY: the caller's contract.
    let Some(block) = (unsafe { values_block(object) }) else {
        return 0;
    };
    let state = crate::hooks::reading();
    let block = state.as_ref().and_then(|state| state.tracer.block(block));
    block.map_or(0, |block| block.size as u64)
}

/// The key under which a dict has a value, borrowed; null if it has not.
unsafe fn key_of(dict: *mut PyObject, target: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live dict.
    unsafe {
        let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
        while PyDict_Next(dict, &mut position, &mut key, &mut value) != 0 {
            if value == target {
                return key;
            }
        }
        ptr::null_mut()
    }
}

/// The attribute whose value in a namespace is `target`.
pub unsafe fn attribute(dict: *mut PyObject, target: *mut PyObject) -> Option<Access> {
    // SAFETY: the caller's contract.
    unsafe {
        if dict.is_null() || PyDict_Check(dict) == 0 {
            return None;
        }
        let key = key_of(dict, target);
        if key.is_null() {
            return None;
        }
        let name = names::text(key).filter(|name| {
            !name.is_empty() && name.chars().all(|c| c == '_' || c.is_alphanumeric())
        });
        Some(match name {
            Some(name) => Access::Attribute(name),
            None => Access::Item(format!(".__dict__[{}]", names::key(key))),
        })
    }
}

/// By what `holder` refers to `target`.
pub unsafe fn access(holder: *mut PyObject, target: *mut PyObject) -> Access {
    // SAFETY: the caller's contract.
    unsafe {
        item(holder, target)
            .or_else(|| known(holder, target))
            .or_else(|| {
                let dict = namespace(holder);
                if !dict.is_null() && dict == target {
                    return Some(Access::Attribute("__dict__".into()));
                }
                attribute(dict, target).or_else(|| inline_attribute(holder, target))
            })
            .or_else(|| member(holder, target))
            .or_else(|| {
                let is_type = Py_TYPE(holder).cast() == target;
                is_type.then(|| Access::Attribute("__class__".into()))
            })
            .unwrap_or_else(|| Access::Words(String::new()))
    }
}

unsafe fn item(holder: *mut PyObject, target: *mut PyObject) -> Option<Access> {
    // SAFETY: items are read by the accessors of each type.
    unsafe {
        if PyDict_Check(holder) != 0 {
            let key = key_of(holder, target);
            if !key.is_null() {
                return Some(Access::Item(format!("[{}]", names::key(key))));
            }
            let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
            while PyDict_Next(holder, &mut position, &mut key, &mut value) != 0 {
                if key == target {
                    return Some(Access::Words("as a key".into()));
                }
            }
        }
        let index = |found: Option<Py_ssize_t>| Some(Access::Item(format!("[{}]", found?)));
        if PyList_Check(holder) != 0 {
            let mut range = 0..PyList_GET_SIZE(holder);
            return index(range.find(|i| PyList_GET_ITEM(holder, *i) == target));
        }
        if PyTuple_Check(holder) != 0 {
            let mut range = 0..PyTuple_GET_SIZE(holder);
            return index(range.find(|i| PyTuple_GET_ITEM(holder, *i) == target));
        }
        if PyAnySet_Check(holder) != 0 {
            return Some(Access::Words("as a member".into()));
        }
        let kind = Py_TYPE(holder);
        // A class of the program may have any name; the items of its objects it makes up.
        if (*kind).tp_flags & Py_TPFLAGS_IMMUTABLETYPE == 0 {
            return None;
        }
        match CStr::from_ptr((*kind).tp_name).to_bytes() {
            b"collections.deque" => {
                let count = PySequence_Size(holder).min(DEQUE_ITEMS);
                index((0..count).find(|i| {
                    let found = PySequence_GetItem(holder, *i);
                    Py_XDECREF(found);
                    PyErr_Clear();
                    found == target
                }))
            }
            b"functools._lru_cache_wrapper" => {
                let own = attribute(namespace(holder), target);
                let cached = || Access::Words("as a cached argument or result".into());
                Some(own.unwrap_or_else(cached))
            }
            _ => None,
        }
    }
}

unsafe fn known(holder: *mut PyObject, target: *mut PyObject) -> Option<Access> {
    // SAFETY: each struct is read where the type says that it is one; those
    // that CPython does not publish were confirmed by `layout::check`.
    unsafe {
        let kind = Py_TYPE(holder);
        let attribute = |name: &str| Some(Access::Attribute(name.into()));
        if PyFunction_Check(holder) != 0 {
            let function = &*holder.cast::<PyFunctionObject>();
            let fields = [
                (function.func_code, "__code__"),
                (function.func_globals, "__globals__"),
                (function.func_defaults, "__defaults__"),
                (function.func_kwdefaults, "__kwdefaults__"),
                (function.func_closure, "__closure__"),
                (function.func_annotations, "__annotations__"),
                (function.func_dict, "__dict__"),
                (function.func_doc, "__doc__"),
            ];
            let found = fields.iter().find(|(value, _)| *value == target);
            return found.and_then(|(_, name)| attribute(name));
        }
        if PyType_Check(holder) != 0 {
            let of = &*holder.cast::<PyTypeObject>();
            let fields = [
                (of.tp_mro, "__mro__"),
                (of.tp_bases, "__bases__"),
                (of.tp_base.cast(), "__base__"),
            ];
            let found = fields.iter().find(|(value, _)| *value == target);
            return found.and_then(|(_, name)| attribute(name));
        }
        let field = |fields: &[(usize, &str)]| {
            let found = fields
                .iter()
                .find(|(offset, _)| load::<*mut PyObject>(holder.cast(), *offset) == target);
            found.and_then(|(_, name)| attribute(name))
        };
        if kind == &raw mut PyTraceBack_Type {
            return field(&TRACEBACK_FIELDS);
        }
        if (*kind).tp_flags & Py_TPFLAGS_BASE_EXC_SUBCLASS != 0 {
            return field(&EXCEPTION_FIELDS);
        }
        if kind == &raw mut PyCell_Type {
            return attribute("cell_contents");
        }
        if PyCFunction_Check(holder) != 0 {
            return if PyCFunction_GetSelf(holder) == target {
                attribute("__self__")
            } else {
                None
            };
        }
        if PyWeakref_Check(holder) != 0 && load::<*mut PyObject>(holder.cast(), CALLBACK) == target
        {
            return attribute("__callback__");
        }
        let frame: *const u8 = if kind == &raw mut PyFrame_Type {
            load(holder.cast(), FRAME_OF_OBJECT)
        } else {
            suspended(holder)
        };
        if frame.is_null() {
            return None;
        }
        variable(frame, target)
    }
}

/// The frame inside a generator, coroutine or asynchronous generator, or null.
pub unsafe fn suspended(object: *mut PyObject) -> *const u8 {
    // SAFETY: these types end in a frame, whose fields their size counts and
    // whose slots are their items.
    unsafe {
        let kind = Py_TYPE(object);
        let types = [
            &raw mut PyGen_Type,
            &raw mut PyCoro_Type,
            &raw mut PyAsyncGen_Type,
        ];
        if !types.contains(&kind) {
            return ptr::null();
        }
        let frame = object.cast::<u8>();
        let frame = frame.add((*kind).tp_basicsize as usize - FRAME_LOCALS.values);
        let code: *mut PyObject = load(frame, FRAME.code);
        let found = load::<u8>(frame, FRAME.owner) == OWNED_BY_GENERATOR && is_code(object, code);
        if found { frame } else { ptr::null() }
    }
}

/// Whether `code` is among the referents of a generator, and a code object. The
/// frame of one that has ended still has an address there.
unsafe fn is_code(object: *mut PyObject, code: *mut PyObject) -> bool {
    let mut seen = false;
    // SAFETY: as for `referents`.
    unsafe {
        super::referents::referents(object, &mut |target| seen |= target == code);
        seen && Py_TYPE(code) == &raw mut PyCode_Type
    }
}

unsafe fn variable(frame: *const u8, target: *mut PyObject) -> Option<Access> {
    // SAFETY: a frame with a code object.
    unsafe {
        let code: *mut PyObject = load(frame, FRAME.code);
        if code.is_null() || Py_TYPE(code) != &raw mut PyCode_Type {
            return None;
        }
        let count = load::<i32>(code.cast(), CODE_LOCALS.count).max(0) as usize;
        let slots = frame.add(FRAME_LOCALS.values).cast::<*mut PyObject>();
        let number = (0..count).find(|slot| *slots.add(*slot) == target)?;
        let name = names::variable(code, number as u32);
        Some(Access::Words(format!("local '{name}'")))
    }
}

/// Members: `__slots__`, and fields that C types publish.
unsafe fn member(holder: *mut PyObject, target: *mut PyObject) -> Option<Access> {
    // SAFETY: a member's offset is inside the objects of the type that it
    // belongs to.
    unsafe {
        let kind = Py_TYPE(holder);
        let order = (*kind).tp_mro;
        if order.is_null() || PyTuple_CheckExact(order) == 0 {
            return None;
        }
        let mut found = None;
        for index in 0..PyTuple_GET_SIZE(order) {
            let base = PyTuple_GET_ITEM(order, index);
            if PyType_Check(base) == 0 {
                continue;
            }
            with_type_dict(base.cast(), |dict| {
                if dict.is_null() || PyDict_CheckExact(dict) == 0 {
                    return;
                }
                let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
                while PyDict_Next(dict, &mut position, &mut key, &mut value) != 0 {
                    if Py_TYPE(value) != &raw mut PyMemberDescr_Type {
                        continue;
                    }
                    let descriptor = value.cast::<PyMemberDescrObject>();
                    let definition = &*(*descriptor).d_member;
                    if OBJECT_MEMBERS.contains(&definition.type_code)
                        && definition.offset > 0
                        && PyType_IsSubtype(kind, (*descriptor).d_common.d_type) != 0
                        && load::<*mut PyObject>(holder.cast(), definition.offset as usize)
                            == target
                    {
                        let name = CStr::from_ptr(definition.name).to_string_lossy();
                        found = Some(Access::Attribute(name.into_owned()));
                        return;
                    }
                }
            });
            if found.is_some() {
                break;
            }
        }
        found
    }
}
