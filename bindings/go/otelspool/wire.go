package otelspool

import (
	"encoding/binary"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The functions of this file append one field of a protobuf message to b. Those that are called something leave the
// field out when it is zero, as proto3 does.

type number = protowire.Number

// begin begins a field that is a message, and returns where its contents start, for end.
func begin(b []byte, field number) ([]byte, int) {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	b = append(b, 0) // for the length; most are of one byte
	return b, len(b)
}

// end puts the length of a message in front of it.
func end(b []byte, start int) []byte {
	length := len(b) - start
	if length < 0x80 {
		b[start-1] = byte(length)
		return b
	}
	more := protowire.SizeVarint(uint64(length)) - 1
	for range more {
		b = append(b, 0)
	}
	copy(b[start+more:], b[start:])
	protowire.AppendVarint(b[:start-1], uint64(length))
	return b
}

func appendBytes[T []byte | string](b []byte, field number, value T) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(len(value)))
	return append(b, value...)
}

// valid is text with U+FFFD in place of what is not UTF-8: receivers refuse the whole request for it.
func valid(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

func appendText(b []byte, field number, text string) []byte {
	return appendBytes(b, field, valid(text))
}

func someText(b []byte, field number, text string) []byte {
	if text == "" {
		return b
	}
	return appendText(b, field, text)
}

func someBytes(b []byte, field number, value []byte) []byte {
	if len(value) == 0 {
		return b
	}
	return appendBytes(b, field, value)
}

func appendVarint(b []byte, field number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), value)
}

func someVarint(b []byte, field number, value uint64) []byte {
	if value == 0 {
		return b
	}
	return appendVarint(b, field, value)
}

// someCount is a count as OTLP has it, of 32 bits.
func someCount(b []byte, field number, count int) []byte {
	return someVarint(b, field, uint64(min(max(count, 0), math.MaxUint32)))
}

func someFixed32(b []byte, field number, value uint32) []byte {
	if value == 0 {
		return b
	}
	return binary.LittleEndian.AppendUint32(protowire.AppendTag(b, field, protowire.Fixed32Type), value)
}

func appendFixed64(b []byte, field number, value uint64) []byte {
	return binary.LittleEndian.AppendUint64(protowire.AppendTag(b, field, protowire.Fixed64Type), value)
}

func someFixed64(b []byte, field number, value uint64) []byte {
	if value == 0 {
		return b
	}
	return appendFixed64(b, field, value)
}

func appendDouble(b []byte, field number, value float64) []byte {
	return appendFixed64(b, field, math.Float64bits(value))
}

func someDouble(b []byte, field number, value float64) []byte {
	return someFixed64(b, field, math.Float64bits(value))
}

// someTime is a time in nanoseconds since 1970. What is before has 0, the zero time as well.
func someTime(b []byte, field number, at time.Time) []byte {
	return someFixed64(b, field, uint64(max(at.UnixNano(), 0)))
}
