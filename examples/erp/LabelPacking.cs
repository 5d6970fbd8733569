using System.Text;

namespace Erp;

/// <summary>Labels travel to the printer packed: "AAAB" becomes "3A1B".</summary>
public static class LabelPacking
{
    public static string Pack(string label)
    {
        var packed = new StringBuilder();
        int start = 0;
        while (start < label.Length)
        {
            int end = start + 1;
            while (end < label.Length && label[end] == label[start])
            {
                end++;
            }
            packed.Append(end - start).Append(label[start]);
            start = end;
        }
        return packed.ToString();
    }
}
