package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// frame is what the agent sends. docs/worker-protocol.md has what each means.
type frame struct {
	Job
	Type        string
	ID          uint64
	N           json.RawMessage
	Input       json.RawMessage
	InputBase64 []byte `json:"input_base64"`
	ContentType string `json:"content_type"`
	TimeoutMS   int64  `json:"timeout_ms"`

	cancelled bool // before its turn
}

const (
	frameBytesMax  = 1 << 20   // longest frame either way
	resultBytesMax = 256 << 10 // largest result, before base64
	textBytesMax   = 8 << 10   // longest message and stack of an error
	lineBytesMax   = 64 << 10  // longest message of a log line, and all its fields: both fit a frame, whatever must be escaped
	nameBytesMax   = 128       // longest code, cooldown key and media type
)

// encode is JSON in one line, without the escapes that only a web page needs.
func encode(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// said is a frame of what is always JSON.
func said(message map[string]any) []byte {
	body, _ := encode(message)
	return append(append([]byte{0x1e}, body...), '\n')
}

func number(kind string, id uint64) []byte {
	return []byte(fmt.Sprintf("\x1e{\"type\":%q,\"id\":%d}\n", kind, id))
}

// line is a log or progress frame, cut to what fits. `more` is left out where it is nothing.
func line(kind string, message map[string]any, key string, more any) []byte {
	message["type"] = kind
	message["message"] = cut(message["message"].(string), lineBytesMax)
	if body, err := encode(more); err != nil {
		more = map[string]any{"dropped": err.Error()}
	} else if len(body) > lineBytesMax {
		more = map[string]any{"dropped": fmt.Sprintf("fields are longer than %d bytes", lineBytesMax)}
	} else if text := string(body); text == "0" || text == "{}" {
		return said(message)
	}
	message[key] = more
	return said(message)
}

// result is the answer of a handler that returned. One that cannot be sent becomes an error, which no retry would mend.
func result(id uint64, value any) []byte {
	if data, ok := value.(Bytes); ok {
		if data.ContentType == "" {
			data.ContentType = "application/octet-stream"
		}
		if len(data.ContentType) > nameBytesMax {
			return refused(id, "RESULT_NOT_JSON", "the content type is longer than %d bytes", nameBytesMax)
		}
		if len(data.Data) > resultBytesMax {
			return tooLarge(id, len(data.Data))
		}
		text := append([]byte{}, data.Data...) // never nil: nothing is "", not null
		return said(map[string]any{"type": "result", "id": id, "value_base64": text, "content_type": data.ContentType})
	}
	body, err := encode(value)
	if err != nil {
		return refused(id, "RESULT_NOT_JSON", "%v", err)
	}
	if len(body) > resultBytesMax {
		return tooLarge(id, len(body))
	}
	head := fmt.Sprintf("\x1e{\"type\":\"result\",\"id\":%d,\"value\":", id)
	return append(append([]byte(head), body...), '}', '\n')
}

func tooLarge(id uint64, size int) []byte {
	return refused(id, "RESULT_TOO_LARGE",
		"the result is %d bytes, the limit is %d: store it elsewhere and return its address", size, resultBytesMax)
}

func refused(id uint64, code, format string, args ...any) []byte {
	return failure(id, &Error{Err: fmt.Errorf(format, args...), Code: code, Permanent: true}, "")
}

// failure is the answer of a handler that failed. Of a stack that is too long the beginning stays: it names the place.
func failure(id uint64, err error, stack string) []byte {
	message := map[string]any{"type": "error", "id": id, "message": cut(err.Error(), textBytesMax)}
	var own *Error
	if errors.As(err, &own) {
		if own.Code != "" {
			message["code"] = cut(own.Code, nameBytesMax)
		}
		if own.Permanent {
			message["retryable"] = false
		}
		if own.RetryAfter > 0 {
			message["retry_after_ms"] = own.RetryAfter.Milliseconds()
		}
		if own.CooldownKey != "" {
			message["cooldown_key"] = cut(own.CooldownKey, nameBytesMax)
		}
	}
	if stack != "" {
		message["stack"] = cut(stack, textBytesMax)
	}
	return said(message)
}

// cut is the beginning of it, in at most so many bytes, whole characters.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
