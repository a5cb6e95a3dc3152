package otelspool

import (
	"go.opentelemetry.io/otel/attribute"
	"google.golang.org/protobuf/encoding/protowire"
)

// mostNested is how many messages a value may have in one another. Decoders refuse a message with more than 100; a
// value is at most the 8th.
const mostNested = 90

// attributes appends each of list as a KeyValue.
func attributes(b []byte, field number, list []attribute.KeyValue) []byte {
	for i := range list {
		b = keyValue(b, field, &list[i], mostNested)
	}
	return b
}

// attributeSet appends each of set as a KeyValue.
func attributeSet(b []byte, field number, set attribute.Iterator) []byte {
	for set.Next() {
		each := set.Attribute()
		b = keyValue(b, field, &each, mostNested)
	}
	return b
}

func keyValue(b []byte, field number, each *attribute.KeyValue, nested int) []byte {
	b, start := begin(b, field)
	b = someText(b, 1, string(each.Key))
	b = anyValue(b, 2, each.Value, nested)
	return end(b, start)
}

// anyValue appends an AnyValue that may have so many messages in one another.
func anyValue(b []byte, field number, value attribute.Value, nested int) []byte {
	b, start := begin(b, field)
	switch value.Type() {
	case attribute.EMPTY:
	case attribute.STRING:
		b = appendText(b, 1, value.AsString())
	case attribute.BOOL:
		b = appendVarint(b, 2, protowire.EncodeBool(value.AsBool()))
	case attribute.INT64:
		b = appendVarint(b, 3, uint64(value.AsInt64()))
	case attribute.FLOAT64:
		b = appendDouble(b, 4, value.AsFloat64())
	case attribute.BYTESLICE:
		b = appendBytes(b, 7, value.AsByteSlice())
	case attribute.MAP:
		b = kvlist(b, value, nested)
	case attribute.BOOLSLICE, attribute.INT64SLICE, attribute.FLOAT64SLICE, attribute.STRINGSLICE, attribute.SLICE:
		b = array(b, value, nested)
	default:
		b = appendText(b, 1, "INVALID") // as the SDK's own exporter says it
	}
	return end(b, start)
}

func kvlist(b []byte, value attribute.Value, nested int) []byte {
	nested -= 3
	if nested < 0 {
		return appendText(b, 1, value.String())
	}
	b, start := begin(b, 6)
	for _, each := range value.AsMap() {
		b = keyValue(b, 1, &each, nested)
	}
	return end(b, start)
}

func array(b []byte, value attribute.Value, nested int) []byte {
	nested -= 2
	if nested < 0 {
		return appendText(b, 1, value.String())
	}
	b, start := begin(b, 5)
	switch value.Type() {
	case attribute.BOOLSLICE:
		for _, each := range value.AsBoolSlice() {
			b = anyValue(b, 1, attribute.BoolValue(each), nested)
		}
	case attribute.INT64SLICE:
		for _, each := range value.AsInt64Slice() {
			b = anyValue(b, 1, attribute.Int64Value(each), nested)
		}
	case attribute.FLOAT64SLICE:
		for _, each := range value.AsFloat64Slice() {
			b = anyValue(b, 1, attribute.Float64Value(each), nested)
		}
	case attribute.STRINGSLICE:
		for _, each := range value.AsStringSlice() {
			b = anyValue(b, 1, attribute.StringValue(each), nested)
		}
	default:
		for _, each := range value.AsSlice() {
			b = anyValue(b, 1, each, nested)
		}
	}
	return end(b, start)
}
